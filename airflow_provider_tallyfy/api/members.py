"""The members of an organization, looked up by e-mail address or user id."""

from __future__ import annotations

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints import organization as organization_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Flow, whole_number
from airflow_provider_tallyfy.api.protocol.problems import Kind, about


class Members:
    """The members of an organization. They are read when they are needed first, and only once.

    :param org: the organization.
    """

    def __init__(self, org: str) -> None:
        self.org = org
        self._addresses: dict[int, str] | None = None

    def addresses(self) -> Flow[dict[int, str]]:
        """Return the e-mail addresses by user id.

        :raises Rejected: if Tallyfy does not return the members. A missing member would become a guest.
        """
        if self._addresses is None:
            known = yield from titles.read_kind(self.org, titles.MEMBER)
            numbers = {whole_number(identity): address.strip() for identity, address in known.items()}
            addresses = {number: address for number, address in numbers.items() if number is not None}
            if not known or len(addresses) < len(known):  # the token's own user is always a member
                request = organization_endpoints.list_members(self.org)
                raise about(
                    request, Kind.SERVER, f"{request.label}: Tallyfy did not return the members of the organization."
                )
            self._addresses = addresses
        return self._addresses

    def by_address(self) -> Flow[dict[str, int]]:
        """Return the user ids by e-mail address in lower case."""
        known = yield from self.addresses()
        return {address.casefold(): number for number, address in known.items() if address}

    def member_id(self, argument: str, member: int | str) -> Flow[int]:
        """Return the user id of a member.

        :param member: the id, or the e-mail address.
        :raises ArgumentError: if no member has this e-mail address (with the nearest ones).
        """
        if isinstance(member, int):
            return member
        numbers = yield from self.by_address()
        if (number := numbers.get(member.casefold())) is None:
            kind = titles.MEMBER
            addresses = (yield from self.addresses()).values()
            raise titles.unknown(argument, kind.what, [member], addresses, kind.called)
        return number

"""One small function per endpoint of the Tallyfy API: arguments in, a request out. Nothing else.

Every id is checked here, before a request exists. The paths come from Tallyfy's public API pages
(https://tallyfy.com/products/pro/integrations/open-api/). One file per resource.
"""

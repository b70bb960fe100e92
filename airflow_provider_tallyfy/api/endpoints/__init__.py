"""One small function per endpoint of the Tallyfy API: arguments in, a request out. Nothing else.

Ids are checked here, so none reaches the wire unchecked. Paths are those of Tallyfy's public API pages
(https://tallyfy.com/products/pro/integrations/open-api/). A file per resource.
"""

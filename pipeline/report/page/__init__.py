"""The report as one page that needs nothing beside it: no script, no font, no other host.

Values of `pipeline.report.content` in, HTML out. To add a section: a function in one of the
section modules that yields HTML, and a line in `page.py`.
"""

"""The data card of an export: facts in, a README.md with YAML front matter out.

Pure: no clock, no location, no I/O, so a snapshot has one card. Sees the schemas and `tree`. To
tell more: a fact in `facts.py`, its words in the section of `card.py` where it belongs. A method's
paper is an entry in `papers.py`.
"""

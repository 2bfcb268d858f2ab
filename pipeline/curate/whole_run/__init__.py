"""What falls when the kept rows of whole runs are compared, after the trees are grown. Pure.

`band_table` and `planes` find the rows that may be alike, whatever there are; `meetings` says whom
a row is compared with, `likeness` compares exactly, and `sweep` decides, in row order, over the
trees of `grove`. `pipeline.refine` reads the rows and does nothing but that.
"""

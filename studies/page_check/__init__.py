"""How well letters are read off photographed pages.

letters.py   the letters that are written on the pages, and shares of correct readings
single.py    letters alone on a page      lines.py   letters in lines
outside.py   real photographs, and lines on desks and cloth, turned, in frames and tables
grounds.py   what lies under and on the paper
baseline.py  simpler ways to find ink, for comparison
"""

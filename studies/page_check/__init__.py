"""How well letters are read off photographed pages.

letters.py   the letters that are written on the pages, and shares of correct readings
single.py    letters alone on a page      lines.py   letters in lines
"""

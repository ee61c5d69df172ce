"""Five pages to play with: each a whole file of HTML that asks nobody for anything.

pages.write(folder)        coin.html, tree.html, cloud.html, bias.html, clip.html
"""

"""The colours of all figures, drawn by matplotlib or as HTML."""

INK = "#1f2429"
FAINT = "#c3cad2"
GREY = "#8a939c"
"""For baselines and other series in the background; visible on white and on black."""
PAPER = "#fffffe"
BLUE = "#2f7fd1"
ORANGE = "#d9730d"
"""Blue and orange: distinguishable with any colour vision, visible on white and on black."""
COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#8c6bb1", "#a08000", "#c0392b", "#56b4e9")
"""For several lines: distinguishable with most kinds of colour vision, on white and on black."""

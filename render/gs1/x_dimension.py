"""X-dimension of symbols that are scanned at retail point of sale.

Source: GS1 General Specifications, section 5.12.3.1 (GS1 symbol specification table 1: trade items
scanned in general retail POS and not general distribution).
"""

#: Smallest and largest X-dimension in millimetres that gets no warning. The largest is that of the
#: table before release 26.0, which GS1's own encoder checks; release 26.0 permits 0.990 mm.
MIN_RETAIL_XDIM_MM, MAX_RETAIL_XDIM_MM = 0.396, 0.743

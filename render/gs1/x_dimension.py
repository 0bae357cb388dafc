"""X-dimension of symbols that are scanned at retail point of sale.

Source: GS1 General Specifications, section 5.12.3.1 (GS1 symbol specification table 1: trade items
scanned in general retail POS and not general distribution).
"""

#: Smallest and largest X-dimension in millimetres that gets no warning. The smallest is that of
#: table 1. The largest is narrower than the 0.990 mm that GS1 UK and GS1 Ireland cite from table 1
#: ("How big should a QR code powered by GS1 be?").
MIN_RETAIL_XDIM_MM, MAX_RETAIL_XDIM_MM = 0.396, 0.743

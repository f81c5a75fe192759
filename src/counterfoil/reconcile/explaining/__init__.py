"""Why two amounts differ: causes whose exact amounts sum to the difference. Pure: no files, no clock, no floats.

Always **right minus left**. Swapping the sides turns every sign, and a charge against itself has no cause. Whoever
writes test scenarios must not import from here, and nothing in here may import the ground's numbers or months: what is
alike in both is written twice on purpose, so that one mistake cannot hide in both.
"""

"""From 21 joints to what programs control things with: palm pose, bone rotations, joint angles, pinch and grab.

numpy only, batched over any leading dimensions. `skeleton` states the axes and the rest pose.
"""

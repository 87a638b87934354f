"""The axes of other programs. A user sits before the camera: user's right is camera -x, up -y, forward (to it) -z.

Told as matrices that map camera or palm coordinates to theirs; rotations go through `quaternion.in_axes`.
"""

from __future__ import annotations

import numpy as np

from ..kinematics.quaternion import from_matrix

#: Camera to Unity as the user sees it: x right, y up, z forward, left-handed, metres.
UNITY = -np.eye(3)
#: Camera to a right-handed frame with y up and z toward the user, as BVH files and Leap devices have it.
Y_UP_FROM_CAMERA, Y_UP_FROM_USER = np.diag([1.0, -1.0, -1.0]), np.diag([-1.0, -1.0, 1.0])
#: Palm axes to those of a Unity avatar's hand in T-pose, arms stretched sideways, palms down, thumbs forward.
T_POSE = {
    "right": np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]]),
    "left": np.array([[0.0, -1, 0], [0, 0, -1], [-1, 0, 0]]),
}
#: Palm axes to Unity wrist axes: z along the fingers, y out of the back of the hand.
UNITY_WRIST = np.array([[-1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
#: The camera's view of an upright hand, palm toward the camera: rotation from palm axes.
UPRIGHT = from_matrix(Y_UP_FROM_CAMERA)

"""The hand's frame, its 15 moving bones, and the rest pose against which their rotations are told.

Palm axes, right-handed, the same for both hands: y from the wrist to the middle knuckle, z out of the palm,
x = y cross z: toward the thumb on a right hand, toward the little finger on a left one.

Rest pose: a flat hand, the four fingers straight and parallel to y; the thumb as THUMB_REST says (that of the average
hand at ease, right hand; a left one's is its mirror image, x negated). There every bone's rotation is the palm's, and its
rotation against its parent is the identity. A finger bends about +x on both hands.

Left hands are computed as the right hands that they are in a mirror (x negated) and turned back at the end: a rotation R
becomes M R M with M = diag(-1, 1, 1).
"""

from __future__ import annotations

import numpy as np

from ..models.joints import FINGERS
from .quaternion import cross, unit

#: The 15 bones that move, thumb first, from the palm outward; the thumb's are metacarpal, proximal, distal.
BONE_NAMES = tuple(f"thumb_{part}" for part in ("metacarpal", "proximal", "distal")) + tuple(
    f"{finger}_{part}" for finger in FINGERS[1:] for part in ("proximal", "intermediate", "distal")
)
#: First and last joint of each bone, (5, 3) each, thumb first.
BONE_START = np.arange(1, 21).reshape(5, 4)[:, :3]
BONE_END = BONE_START + 1
#: The angles of each finger, (5, 4) in all; the thumb's own come first.
ANGLE_NAMES = (("cmc_flexion", "cmc_abduction", "mcp_flexion", "ip_flexion"),) + (
    ("mcp_flexion", "mcp_abduction", "pip_flexion", "dip_flexion"),
) * 4

#: Directions (3, 3) of the thumb's bones at rest in a right hand's palm axes, and the axis about which it bends.
THUMB_REST = unit(np.array([[0.557, 0.535, 0.633], [0.518, 0.696, 0.496], [0.231, 0.799, 0.553]]))
THUMB_HINGE = unit(np.array([-0.504, -0.387, 0.770]) - THUMB_REST[0] * (THUMB_REST[0] @ [-0.504, -0.387, 0.770]))
#: How far the thumb's metacarpal turns about itself (opposition) per radian of its flexion and palmar abduction.
THUMB_TWIST = (0.5, 0.3)
#: Limits in radians of the thumb's abduction that a twist is told from.
THUMB_ABDUCTION = (-1.0, 0.9)
#: Largest twist in radians of a finger about its first bone, and the bend (sum of sines) at which it is half believed.
MAX_TWIST, SURE_BEND = 0.35, 0.8

#: Rest directions (5, 3, 3) of all bones in a right hand's palm axes.
REST = np.tile(np.array([0.0, 1.0, 0.0]), (5, 3, 1))
REST[0] = THUMB_REST
#: Directions (5, 3, 3) that the bones' palm sides face at rest, likewise.
REST_NORMALS = np.tile(np.array([0.0, 0.0, 1.0]), (5, 3, 1))
REST_NORMALS[0] = unit(cross(np.tile(THUMB_HINGE, (3, 1)), THUMB_REST))
MIRROR = np.array([-1.0, 1.0, 1.0])

"""The 21 hand joints, their names and the bones between them (MediaPipe and FreiHAND order)."""

WRIST = 0
THUMB_CMC, THUMB_MCP, THUMB_IP, THUMB_TIP = 1, 2, 3, 4
INDEX_MCP, INDEX_PIP, INDEX_DIP, INDEX_TIP = 5, 6, 7, 8
MIDDLE_MCP, MIDDLE_PIP, MIDDLE_DIP, MIDDLE_TIP = 9, 10, 11, 12
RING_MCP, RING_PIP, RING_DIP, RING_TIP = 13, 14, 15, 16
LITTLE_MCP, LITTLE_PIP, LITTLE_DIP, LITTLE_TIP = 17, 18, 19, 20

NUM_JOINTS = 21
JOINT_ORDER = "mediapipe21"
ROOT = MIDDLE_MCP
FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINT_NAMES = ("wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip") + tuple(
    f"{finger}_{part}" for finger in FINGERS[1:] for part in ("mcp", "pip", "dip", "tip")
)

#: Parent of every joint; the wrist is the tree's root (-1).
PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
#: The 20 bones as (parent, child), ordered by child.
BONES = tuple((parent, child) for child, parent in enumerate(PARENTS) if parent >= 0)
#: The bone whose length is the unit of relative depth: the middle finger's proximal phalanx.
UNIT_BONE = (MIDDLE_MCP, MIDDLE_PIP)
TIPS = (THUMB_TIP, INDEX_TIP, MIDDLE_TIP, RING_TIP, LITTLE_TIP)

#: Average bone lengths of the synthetic adult hand in units of the middle proximal phalanx, ordered as BONES.
PRIOR_BONE_LENGTHS = (
    1.05,
    0.69,
    0.72,
    0.44,
    1.96,
    0.97,
    0.52,
    0.40,
    1.96,
    1.00,
    0.59,
    0.44,
    1.85,
    0.91,
    0.57,
    0.42,
    1.77,
    0.74,
    0.43,
    0.37,
)
#: Assumed length of the unit bone in metres where nothing is known about the hand.
UNIT_BONE_METRES = 0.040

"""A robot's hand does what yours does: pip install dex-retargeting torch, and the URDF files of its hands (dex-urdf).

python examples/dexterous_hand.py allegro_hand_right.yml dex-urdf/robots/hands [camera]
"""

import sys
from pathlib import Path

import numpy as np
from dex_retargeting.retargeting_config import RetargetingConfig

from semihand import HandTracker, open_source
from semihand.kinematics.quaternion import to_matrix


def wrist_joints(hand):
    """(21, 3) metres from the wrist as dex-retargeting has them: x out of the palm, z to the middle knuckle."""
    in_palm = (hand.xyz_cam - hand.xyz_cam[0]) @ to_matrix(hand.palm_rotation)
    return np.roll(in_palm, 1, axis=-1)  # x, y, z of the palm become y, z, x, on both hands


def send(names, angles):
    print("  ".join(f"{name} {angle:.2f}" for name, angle in zip(names, angles)))


def main(config, urdf_folder, source=0):
    RetargetingConfig.set_default_urdf_dir(urdf_folder)
    robot = RetargetingConfig.load_from_file(config).build()
    start, end = robot.optimizer.target_link_human_indices  # joints of the hand between which the vectors lie
    side = "left" if "left" in Path(config).stem else "right"
    with HandTracker(hands=2) as tracker, open_source(source) as camera:
        for _, hands in tracker.track(camera):
            for hand in (one for one in hands if one.handedness == side):
                joints = wrist_joints(hand)
                send(robot.joint_names, robot.retarget(joints[end] - joints[start]))


if __name__ == "__main__":
    main(*sys.argv[1:4])

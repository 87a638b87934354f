"""Bake the second world's hand: `python tools/build_studio_hand.py right.glb LICENSE.md --out studio/hand.npz`.

Both files come from the npm package @webxr-input-profiles/assets (MIT): dist/profiles/generic-hand/right.glb, LICENSE.md.
The hand is moved to the hand frame (origin wrist, y to the middle MCP, x toward the index side, z out of the palm;
metres), its 25 joints are reduced to the project's 21, the tips are moved from inside the last bones to the skin's end,
and a forearm is drawn out of the open wrist. Skinning weights are the file's own; the metacarpals of the four fingers
count as palm.
"""

from __future__ import annotations

import argparse
import json
import struct
from pathlib import Path

import numpy as np

from semihand.models.joints import JOINT_ORDER

FINGERS = ("thumb", "index-finger", "middle-finger", "ring-finger", "pinky-finger")
PARTS = ("phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")
THUMB_PARTS = ("metacarpal", "phalanx-proximal", "phalanx-distal", "tip")
FOREARM, NUM_BONES = 16, 17
#: How far the tips lie inside the skin's end, in lengths of the middle proximal phalanx; thumb first (as synth places them).
TIP_INSET = (0.08, 0.03, 0.03, 0.03, 0.03)
#: How far the wrist moves up from the file's, which lies behind the carpal bones, to the wrist's crease; same unit. Measured:
#: a network trained on synth sees it 0.28 further up, synth's own hands have 1.69 from wrist to middle MCP, this file 1.96.
WRIST_SHIFT = 0.25
ARM_LENGTH_M, ARM_RINGS = 0.24, 14
#: The cap that closes the mesh lies below this height, metres in the hand frame.
CAP_BELOW_M = -0.008
#: Half axes of the forearm at its far end (across, thick), metres.
ARM_END = (0.046, 0.040)
#: Share of the texture's height that the hand's own layout keeps; the arm has the rest.
HAND_SHARE = 0.75
COMPONENTS = {5126: np.float32, 5121: np.uint8, 5123: np.uint16}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def read_glb(path: Path) -> tuple[dict, list[np.ndarray]]:
    """The JSON part and all accessors (N, width) of a binary glTF file with tightly packed buffers."""
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    scene, body = json.loads(data[20 : 20 + length]), data[28 + length :]
    arrays = []
    for accessor in scene["accessors"]:
        view = scene["bufferViews"][accessor["bufferView"]]
        start, width = view.get("byteOffset", 0) + accessor.get("byteOffset", 0), WIDTHS[accessor["type"]]
        kind = COMPONENTS[accessor["componentType"]]
        arrays.append(np.frombuffer(body, kind, accessor["count"] * width, start).reshape(-1, width))
    return scene, arrays


def joint_name(finger: int, part: int) -> str:
    return f"{FINGERS[finger]}-{(PARTS if finger else THUMB_PARTS)[part]}"


def skeleton(scene: dict, bind: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> rest transform (4, 4) of every joint, from the inverse bind matrices (N, 16)."""
    names = [scene["nodes"][i]["name"] for i in scene["skins"][0]["joints"]]
    return dict(zip(names, np.linalg.inv(bind.reshape(-1, 4, 4).transpose(0, 2, 1).astype(float))))


def bone_weights(names: list[str], index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights (V, 17): 0 palm, 1 + 3 f + j phalanx j of finger f (the thumb's first is its metacarpal), 16 forearm."""
    target = {joint_name(f, p): 1 + 3 * f + min(p, 2) for f in range(5) for p in range(4)}
    dense = np.zeros((len(index), NUM_BONES))
    for column in range(4):
        bones = np.array([target.get(names[i], 0) for i in index[:, column]])
        dense[np.arange(len(dense)), bones] += weight[:, column]
    return dense / dense.sum(1, keepdims=True)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def hand_frame(joints: np.ndarray) -> np.ndarray:
    """Rows x, y, z (3, 3) of the hand frame of joints (21, 3)."""
    y = unit(joints[9] - joints[0])
    across = joints[5] - joints[17]
    x = unit(across - y * (across @ y))
    return np.stack([x, y, np.cross(x, y)])


def place_tips(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> None:
    """Move the tips (in place) to just inside the skin's end, along the last bones."""
    size = np.linalg.norm(joints[10] - joints[9])
    for finger in range(5):
        dip, tip = 3 + 4 * finger, 4 + 4 * finger
        along = unit(joints[tip] - joints[dip])
        rows = weights[:, 3 + 3 * finger] > 0.5
        reach = ((vertices[rows] - joints[dip]) @ along).max()
        joints[tip] = joints[dip] + (reach - TIP_INSET[finger] * size) * along


def open_wrist(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The triangles (T, 3) without the cap that closes the wrist: low ones that face down the arm."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    down = -unit(np.cross(b - a, c - a))[:, 1]
    return triangles[~((down > 0.85) & (np.maximum(np.maximum(a, b), c)[:, 1] < CAP_BELOW_M))]


def wrist_ring(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Vertex numbers of the open edge at the wrist, in order round the arm."""
    _, first, same = np.unique(np.round(vertices, 6), axis=0, return_index=True, return_inverse=True)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = same.ravel()[edges]
    pairs = {tuple(edge) for edge in edges.tolist()}
    following = {a: b for a, b in pairs if (b, a) not in pairs}
    start = min(following, key=lambda v: vertices[first[v], 1])
    ring = [start]
    while following[ring[-1]] != start:
        ring.append(following[ring[-1]])
    return first[ring]


def draw_arm(ring: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, texture coordinates and triangles of a tube from the wrist's edge `ring` (R, 3) down the arm."""
    ring = np.concatenate([ring, ring[:1]])
    center = ring.mean(0)
    angle = np.arctan2(ring[:, 2] - center[2], ring[:, 0] - center[0])
    far = center + np.stack([ARM_END[0] * np.cos(angle), np.zeros_like(angle), ARM_END[1] * np.sin(angle)], 1)
    far[:, 1] = -ARM_LENGTH_M
    share = (np.arange(ARM_RINGS) / (ARM_RINGS - 1))[:, None, None]
    points = ring + (far - ring) * [1, 0, 1] * (share**0.8) + (far - ring) * [0, 1, 0] * share
    around = np.linspace(0, 1, len(ring))
    uv = np.stack(np.broadcast_arrays(around[None], HAND_SHARE + 0.02 + 0.22 * share[:, :, 0]), -1)
    corner = np.arange(ARM_RINGS - 1)[:, None] * len(ring) + np.arange(len(ring) - 1)
    a, b, c, d = (x.ravel() for x in (corner, corner + 1, corner + len(ring), corner + len(ring) + 1))
    triangles = np.concatenate([np.stack([b, a, c], 1), np.stack([b, c, d], 1)])
    return points.reshape(-1, 3), uv.reshape(-1, 2), triangles


def forearm_share(y: np.ndarray) -> np.ndarray:
    """How much the skin at height y (metres, wrist at 0) goes with the forearm: all of it 25 mm below the wrist."""
    t = np.clip((0.008 - y) / 0.033, 0, 1)
    return t * t * (3 - 2 * t)


def bake(glb: Path, licence: Path) -> dict:
    """Everything that hand.npz stores, as a dict of arrays; provenance and licence are text."""
    scene, (position, _, uv, bone, weight, triangles, bind) = read_glb(glb)
    rest = skeleton(scene, bind)
    order = ["wrist"] + [joint_name(f, p) for f in range(5) for p in range(4)]
    joints = np.stack([rest[name][:3, 3] for name in order])
    joints[0] += WRIST_SHIFT * np.linalg.norm(joints[10] - joints[9]) * unit(joints[9] - joints[0])
    rotation, origin = hand_frame(joints), joints[0].copy()
    vertices, joints = (position.astype(float) - origin) @ rotation.T, (joints - origin) @ rotation.T
    frames = np.stack([(rotation @ rest[joint_name(f, p)][:3, :3]).T for f in range(5) for p in range(3)])
    weights = bone_weights(list(rest), bone, weight)
    triangles = triangles.reshape(-1, 3).astype(int)
    place_tips(vertices, joints, weights)
    triangles = open_wrist(vertices, triangles)
    arm, arm_uv, arm_triangles = draw_arm(vertices[wrist_ring(vertices, triangles)])
    share = forearm_share(vertices[:, 1])
    weights *= 1 - share[:, None]
    weights[:, FOREARM] += share
    arm_weights = np.zeros((len(arm), NUM_BONES))
    arm_weights[:, FOREARM] = 1.0
    provenance = dict(
        source="@webxr-input-profiles/assets 1.0.20, generic-hand/right.glb, MIT, Copyright (c) 2019 Amazon",
        frame="origin wrist, y to middle MCP, x toward the index side, z out of the palm; metres; right hand",
        joint_order=JOINT_ORDER, tip_inset=TIP_INSET, wrist_shift=WRIST_SHIFT, arm_length_m=ARM_LENGTH_M,
    )  # fmt: skip
    return dict(
        vertices=np.concatenate([vertices, arm]).astype(np.float32), joints=joints.astype(np.float32),
        frames=frames.astype(np.float32), weights=np.concatenate([weights, arm_weights]).astype(np.float16),
        uv=np.concatenate([uv * [1, HAND_SHARE], arm_uv]).astype(np.float32),
        triangles=np.concatenate([triangles, arm_triangles + len(vertices)]).astype(np.int16),
        provenance=json.dumps(provenance), licence=licence.read_text(encoding="utf-8"),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glb", type=Path)
    parser.add_argument("licence", type=Path)
    parser.add_argument("--out", type=Path, default=Path("studio/hand.npz"))
    options = parser.parse_args()
    np.savez_compressed(options.out, **bake(options.glb, options.licence))


if __name__ == "__main__":
    main()

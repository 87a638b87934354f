"""Golden messages, read by parsers that are not ours where there are some."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.kinematics.quaternion import angle_between, to_matrix
from semihand.kinematics.skeleton import MIRROR, REST
from semihand.models.joints import JOINT_NAMES
from semihand.outputs.hts import hts_lines
from semihand.outputs.json_line import json_datagram
from semihand.outputs.leap import LeapFrames, leap_hello
from semihand.outputs.lost import Roster
from semihand.tracker.types import Frame


def osc(datagram):
    """Addresses and values of one bundle, by python-osc's own parser."""
    packets = pytest.importorskip("pythonosc.osc_packet")
    return [(one.message.address, one.message.params) for one in packets.OscPacket(datagram).messages]


# ---- the JSON line


def test_json_line_stands_alone(right, left, moment):
    (datagram,) = json_datagram(moment(right, left, time=0.5))
    assert datagram.endswith(b"}\n") and datagram.count(b"\n") == 1
    line = json.loads(datagram)
    assert (line["schema"], line["frame"], line["t"], line["size"], line["lost"]) == (2, 15, 0.5, [640, 480], [])
    assert [(hand["id"], hand["handedness"], hand["state"]) for hand in line["hands"]] == [
        (1, "right", "tracked"), (2, "left", "tracked"),
    ]  # fmt: skip
    assert_allclose(line["hands"][1]["xyz_m"], left.xyz_cam, atol=1e-4)


def test_json_line_tells_held_and_lost(right):
    roster = Roster()
    lines = []
    for index, hands in enumerate(([right], [], [])):
        (datagram,) = json_datagram(roster(Frame(None, 0.2 * index, index), hands, (640, 480), {}))
        lines.append(json.loads(datagram))
    assert [[hand["state"] for hand in line["hands"]] for line in lines] == [["tracked"], ["held"], []]
    assert [line["lost"] for line in lines] == [[], [], [1]]


# ---- OSC


def test_osc_addresses_and_values(right, left, moment):
    pytest.importorskip("pythonosc")
    from semihand.outputs.osc import osc_bundles

    first, second = osc_bundles(moment(right, left))
    told = dict(osc(second))
    assert all(address.startswith("/semihand/left/") for address, _ in osc(first))
    assert told["/semihand/right/state"] == ["tracked"] and told["/semihand/right/id"] == [1]
    for joint, name in enumerate(JOINT_NAMES):
        assert_allclose(told[f"/semihand/right/joint/{name}"], right.xyz_cam[joint], atol=1e-6)
    assert_allclose(told["/semihand/right/image/index_tip"], (right.uv_image[8] + 0.5) / (640, 480), atol=1e-6)
    assert_allclose(told["/semihand/right/palm/rotation"], right.palm_rotation, atol=1e-6)
    assert told["/semihand/right/angle/index/pip_flexion"] == pytest.approx([right.angles[1, 2]], abs=1e-4)
    assert told["/semihand/right/angle/thumb/cmc_abduction"] == pytest.approx([right.angles[0, 1]], abs=1e-4)
    assert dict(osc(first))["/semihand/left/pinch/strength"] == pytest.approx([left.pinch], abs=1e-6)
    assert told["/semihand/right/extended/middle"] == [int(right.extended[2])]
    assert isinstance(told["/semihand/right/extended/middle"][0], int)
    assert len(told) == 76


def test_osc_tells_lost_hands(right):
    pytest.importorskip("pythonosc")
    from semihand.outputs.osc import osc_bundles

    roster = Roster()
    roster(Frame(None, 0.0, 0), [right], (640, 480), {})
    (held,) = osc_bundles(roster(Frame(None, 0.1, 1), [], (640, 480), {}))
    assert dict(osc(held))["/semihand/right/state"] == ["held"]
    (lost,) = osc_bundles(roster(Frame(None, 0.5, 2), [], (640, 480), {}))
    assert osc(lost) == [("/semihand/right/state", ["lost"])]
    assert osc_bundles(roster(Frame(None, 3.0, 3), [], (640, 480), {})) == []


# ---- VMC


def vmc(moment):
    pytest.importorskip("pythonosc")
    from semihand.outputs.vmc import vmc_bundle

    (datagram,) = vmc_bundle(moment)
    return osc(datagram)


def avatar(told, side):
    """Where a Unity avatar's finger bones start when their local rotations are applied to the T-pose, from the wrist."""
    bones = {params[0]: params[1:] for address, params in told if address == "/VMC/Ext/Bone/Pos"}
    hand, places = to_matrix(np.array(bones[f"{side}Hand"][3:])), {}
    for finger in ("Thumb", "Index", "Middle", "Ring", "Little"):
        turned, place = hand, np.zeros(3)
        for part in ("Proximal", "Intermediate", "Distal"):
            position, quaternion = np.array(bones[f"{side}{finger}{part}"][:3]), bones[f"{side}{finger}{part}"][3:]
            place = place + turned @ position
            turned = turned @ to_matrix(np.array(quaternion))
            places[finger + part] = place
    return places


@pytest.mark.parametrize("side", ["right", "left"])
def test_vmc_bones_pose_an_avatar_as_the_hand_is_posed(right, left, moment, side):
    """A hand upright before the camera, palm toward it: the avatar's forearm is held upright too, and its fingers follow."""
    hand = {"right": right, "left": left}[side]
    places = avatar(vmc(moment(right, left)), side.capitalize())
    # The avatar's arm lies along x in the T-pose; held upright before the camera its x points up, its -y to the camera.
    sign = 1 if side == "right" else -1
    to_unity = -np.eye(3)

    upright = np.array([[0, 0, -sign], [sign, 0, 0], [0, -1, 0]], float)
    for name, joint in (("IndexProximal", 5), ("IndexIntermediate", 6), ("IndexDistal", 7), ("ThumbIntermediate", 2),
                        ("ThumbDistal", 3), ("LittleDistal", 19)):  # fmt: skip
        expected = to_unity @ (hand.xyz_cam[joint] - hand.xyz_cam[0])
        got = upright @ places[name]
        assert_allclose(np.linalg.norm(got), np.linalg.norm(expected), atol=1e-4)
        assert_allclose(got, expected, atol=1e-4, err_msg=name)


def test_vmc_bundle_is_an_assistants(right, moment):
    told = vmc(moment(right, time=2.5))
    assert told[0] == ("/VMC/Ext/OK", [1, 3, 0, 1]) and told[1] == ("/VMC/Ext/T", [2.5])
    names = [params[0] for address, params in told if address == "/VMC/Ext/Bone/Pos"]
    assert names[:4] == ["RightHand", "RightThumbProximal", "RightThumbIntermediate", "RightThumbDistal"]
    assert len(names) == 16 and names[-1] == "RightLittleDistal"
    (tracker,) = [params for address, params in told if address == "/VMC/Ext/Tra/Pos"]
    assert tracker[0] == "semihand/right" and len(tracker) == 8
    assert_allclose(tracker[1:4], -right.xyz_cam[0], atol=1e-6)
    assert vmc(moment())[0] == ("/VMC/Ext/OK", [1, 3, 0, 0]) and len(vmc(moment())) == 2


# ---- Hand Tracking Streamer


def read_hts(datagram):
    lines = [line.split(":, ") for line in datagram.decode().splitlines()]
    return [(label, np.array([float(value) for value in values.split(", ")])) for label, values in lines]


def test_hts_lines_lead_back_to_the_joints(right, left, moment):
    for hand, datagram in zip((left, right), hts_lines(moment(right, left))):
        (wrist_label, wrist), (label, landmarks) = read_hts(datagram)
        side = hand.handedness.capitalize()
        assert (wrist_label, label) == (f"{side} wrist", f"{side} landmarks")
        assert wrist.shape == (7,) and landmarks.shape == (63,)
        world = landmarks.reshape(21, 3) @ to_matrix(wrist[3:]).T + wrist[:3]
        assert_allclose(world, -hand.xyz_cam, atol=5e-5)
        assert landmarks.reshape(21, 3)[9, 2] > 0.05  # z of the wrist's axes goes along the fingers


def test_hts_by_the_hand_tracking_sdk(right, left, moment):
    parser = pytest.importorskip("hand_tracking_sdk.parser", reason="needs hand-tracking-sdk")
    for datagram in hts_lines(moment(right, left)):
        packets = [parser.parse_line(line) for line in datagram.decode().splitlines()]
        assert [packet.kind.value for packet in packets] == ["wrist", "landmarks"]
        assert len(packets[1].data.points) == 21 and packets[0].data.qw == pytest.approx(
            read_hts(datagram)[0][1][6], abs=1e-5
        )


# ---- Leap


def test_leap_says_its_version_first():
    version, device = map(json.loads, leap_hello())
    assert version["version"] == 6 and "serviceVersion" in version
    assert device["event"]["type"] == "deviceEvent" and device["event"]["state"]["streaming"] is True


def test_leap_frame(right, left, moment):
    frames = LeapFrames()
    frames(moment(right, left, time=1.0))
    frame = json.loads(frames(moment(right, left, time=1.5)))
    assert frame["timestamp"] == 1_500_000 and frame["currentFrameRate"] == 2
    hand, fingers = frame["hands"][0], frame["pointables"][:5]
    assert (hand["type"], hand["timeVisible"]) == ("right", 0.5)
    # The user's right is the camera's left; the hand half a metre before it is at the middle of the device's space.
    assert_allclose(hand["wrist"], (-50, 180, 0), atol=0.01)
    assert hand["palmNormal"][2] < -0.99 and hand["direction"][1] > 0.99
    assert hand["pinchDistance"] == pytest.approx(right.pinch_distance * 1e3, abs=0.01)
    assert [finger["id"] for finger in fingers] == [10, 11, 12, 13, 14]
    assert fingers[0]["carpPosition"] == fingers[0]["mcpPosition"]
    assert [finger["extended"] for finger in fingers] == right.extended.tolist()
    for finger, sign in [(one, 1) for one in fingers] + [(one, -1) for one in frame["pointables"][5:]]:
        assert np.shape(finger["bases"]) == (4, 3, 3)
        assert_allclose(np.linalg.det(finger["bases"]), sign, atol=1e-3)
        along = np.subtract(finger["tipPosition"], finger["dipPosition"])
        assert_allclose(finger["bases"][3][2], -along / np.linalg.norm(along), atol=2e-3)


def test_leap_holds_and_then_leaves_out(right):
    roster, frames = Roster(), LeapFrames()
    told = [
        len(json.loads(frames(roster(Frame(None, time, 0), [right] if time == 0 else [], (640, 480), {})))["hands"])
        for time in (0.0, 0.2, 0.3)
    ]
    assert told == [1, 1, 0]


def test_rest_pose_has_no_rotation_in_any_format(moment, made):
    """A hand in the stated rest pose, upright before the camera: VMC's rotations are all the identity."""
    palm = np.array([[0.025, 0.085, 0], [0, 0.08, 0], [-0.02, 0.075, 0], [-0.04, 0.07, 0]])
    for side in ("right", "left"):
        mirror = MIRROR if side == "left" else 1.0
        xyz = np.zeros((21, 3))
        xyz[[1, 5, 9, 13, 17]] = np.vstack([[0.03, 0.02, 0], palm])
        for finger in range(5):
            for part in range(3):
                start = 1 + 4 * finger + part
                xyz[start + 1] = xyz[start] + 0.03 * REST[finger, part]
        upright = xyz * mirror @ np.diag([1.0, -1.0, -1.0]) + (0, 0, 0.5)
        hand = made(upright, side)
        assert angle_between(to_matrix(hand.bone_local), np.eye(3)).max() < 0.5
        for address, params in vmc(moment(hand)):
            if address == "/VMC/Ext/Bone/Pos":
                assert_allclose(params[4:], (0, 0, 0, 1), atol=4e-3, err_msg=params[0])

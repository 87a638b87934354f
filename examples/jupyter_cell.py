"""A cell for Jupyter: the camera's picture with the hands drawn on it, until the kernel is interrupted."""

import cv2
from IPython.display import Image, display

from semihand import HandTracker, draw, open_source


def main(source=0):
    view = display(Image(data=b"", format="jpeg"), display_id=True)
    with HandTracker() as tracker, open_source(source) as camera:
        for frame, hands in tracker.track(camera):
            picture = cv2.imencode(".jpg", draw(frame.image, hands))[1]
            view.update(Image(data=picture.tobytes(), format="jpeg"))


if __name__ == "__main__":
    main()

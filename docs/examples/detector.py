"""A detector trained on drawn shapes, measured, and used on one image.

python docs/examples/detector.py [DIRECTORY]          # some two minutes; runs/example, unless another is given
"""

import sys
from pathlib import Path

from detection import checkpoints, evaluate, train
from detection.data import shapes
from detection.data.images import read_image
from detection.detector import Detector

IMAGES = 60
UPDATES = 60

if __name__ == "__main__":
    here = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example")
    shapes.draw(shapes.Shapes(out=here / "shapes", images=IMAGES, size=128))

    settings = ["--preset", "mini", "--data", str(here / "shapes"), "--out", str(here / "detector")]
    small = ["--max-iterations", str(UPDATES), "--short-sides", "128", "--short-side", "128", "--max-side", "160"]
    train.main([*settings, *small, "--workers", "0"])

    trained = here / "detector" / "last.pt"
    evaluate.main(["--checkpoint", str(trained), "--data", str(here / "shapes"), "--workers", "0"])

    detector = Detector(checkpoints.build(checkpoints.load(trained)), device="cpu")
    image = sorted((here / "shapes" / "val2017").iterdir())[0]
    (found,) = detector.detect([read_image(image)])
    names = [category.name for category in detector.config.categories]
    print(f"{len(found.scores)} objects in {image.name}")
    for box, score, label in zip(found.boxes[:5], found.scores, found.labels, strict=False):
        x1, y1, x2, y2 = box.tolist()
        print(f"{names[int(label)]} at {x1:.0f}, {y1:.0f} to {x2:.0f}, {y2:.0f} pixels, score {float(score):.3f}")

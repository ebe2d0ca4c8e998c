"""The scripted model is no installed package: it runs from its own folder, so do its tests."""

import sys
from pathlib import Path

MODEL_FOLDER = Path(__file__).parents[3] / "hack" / "model"
sys.path.insert(0, str(MODEL_FOLDER))

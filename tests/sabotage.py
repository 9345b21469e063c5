"""Trainings of other processes that go wrong as asked: a file that every Python below a search loads by itself."""

# `before_step(trainer)` is called before each training step of `ecggen.train`.
HOOK = """
import importlib.abc, importlib.util, sys

class Sabotage(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "ecggen.train":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            step = module.Trainer.train_step
            def train_step(trainer):
                before_step(trainer)
                return step(trainer)
            module.Trainer.train_step = train_step
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Sabotage())
"""


def sabotage(folder, before_step):
    """The environment of processes whose trainings call `before_step`, the text of a function of that name."""
    (folder / "sitecustomize.py").write_text(before_step + HOOK)
    return {"PYTHONPATH": str(folder)}

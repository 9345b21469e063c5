"""optuna-dashboard opens the study of a search: its own server is asked what its pages ask."""

import pytest

from tests.fake_search import completed, failed, stopped
from tests.search.test_study import LRS, ask, open_study

pytestmark = pytest.mark.usefixtures("quick_studies")


@pytest.fixture
def client(ledger):
    dashboard = pytest.importorskip("optuna_dashboard")
    from werkzeug.test import Client

    ledger.folder.mkdir(exist_ok=True)
    study = open_study(ledger)
    study.end(completed(ledger, LRS[0], 0.5, 0.75, study=ask(study, LRS[0])))
    study.end(stopped(ledger, LRS[1], 0.25, study=ask(study, LRS[1])))
    study.end(failed(ledger, LRS[2], study=ask(study, LRS[2])))
    return Client(dashboard.wsgi(f"sqlite:///{ledger.folder / 'study.db'}"))


def test_it_lists_the_study(client):
    assert [each["study_name"] for each in client.get("/api/studies").json["study_summaries"]] == ["ecggen"]


def test_it_shows_states_values_and_learning_curves(client):
    trials = client.get("/api/studies/1?after=0").json["trials"]
    assert [each["state"] for each in trials] == ["Complete", "Pruned", "Fail"]
    assert trials[0]["values"] == [0.75]
    curves = [[(point["step"], point["value"]) for point in each["intermediate_values"]] for each in trials]
    assert curves == [[(3, 0.5), (6, 0.75)], [(3, 0.25)], []]

"""Identifiers are found, never kept and never copied; no text of one row is in a bundle or in a new row."""

import json
import uuid

import numpy as np
import pandas as pd
import pytest
import torch

from latentover import ClassicalSampler, RAESampler
from latentover.bundle import load, save
from latentover.tables import Identifier, TableFormat
from latentover.tables.identifiers import is_free_text, is_identifier

N = 400
Y = np.repeat([0, 1], [300, 100])


def rng():
    return np.random.default_rng(0)


def digits(n, size):
    return ["".join(map(str, row)) for row in rng().integers(0, 10, (n, size))]


WORDS = ["amount", "was", "paid", "late", "by", "card", "again", "without", "notice", "today", "refund", "wanted"]
IDENTIFIERS = {
    "name": [f"{a.title()} {b}ova" for a, b in zip(digits(N, 3), digits(N, 4), strict=True)],
    "e-mail": [f"someone{i}@mail{i % 3}.com" for i in range(N)],
    "iban": [f"AT{d[:18]}" for d in digits(N, 18)],
    "iban in fours": [f"DE{d[:2]} {d[2:6]} {d[6:10]} {d[10:14]} {d[14:18]} {d[18:20]}" for d in digits(N, 20)],
    "iban of half as many customers": [f"AT{d[:18]}" for d in digits(N // 2, 18)] * 2,
    "uuid": [str(uuid.UUID(int=int(d))) for d in digits(N, 36)],
    "hash": [f"{int(d):032x}" for d in digits(N, 36)],
    "telephone": [f"+43 660 {d}" for d in digits(N, 7)],
    "transaction": [f"TX-{i:07d}" for i in range(N)],
    "row": np.arange(N),
    "part of the rows": rng().choice(3 * N, N, replace=False),
    "customer_id": rng().choice(10**9, N, replace=False),
    "orderID": rng().choice(10**5, N, replace=False),
    "account number": 10**7 + rng().choice(9 * 10**7, N, replace=False),
    "Unnamed: 0": rng().choice(10**6, N, replace=False),
    "text of digits": digits(N, 12),
    "category": pd.Categorical([f"person {i}" for i in range(N)]),
    "string": pd.array([f"K{d}" for d in digits(N, 8)], dtype="string"),
    "nullable_id": pd.array(rng().choice(10**9, N, replace=False), dtype="Int64"),
}
OTHERS = {
    "amount in cents": rng().choice(10**7, N, replace=False),
    "population": 10**6 + rng().choice(9 * 10**6, N, replace=False),
    "price": np.round(np.exp(rng().normal(5, 1, N)), 2),
    "unique floats": rng().normal(size=N),
    "whole floats": np.arange(float(N)),
    "year": rng().integers(1950, 2024, N),
    "age": rng().integers(18, 90, N),
    "number of visits": rng().integers(0, 100, N),
    "salary": rng().choice(np.arange(30_000, 99_999), N, replace=False),
    "timestamp": 1_600_000_000 + rng().choice(10**8, N, replace=False),
    "shop_id": rng().integers(0, 30, N),
    "town": rng().choice(["Graz", "Linz", "Wien"], N),
    "postal code": [str(d) for d in rng().integers(1000, 1100, N)],
    "many levels": [f"product {i}" for i in rng().integers(0, 150, N)],
    "few customers": rng().choice(["a@b.com", "c@d.org", "e@f.net"], N),
    "flag": rng().random(N) < 0.5,
    "signed": np.arange(N) - 200,
    "day": pd.date_range("2020-01-01", periods=N),
}


class TestFound:
    @pytest.mark.parametrize("name", IDENTIFIERS)
    def test_identifiers_are(self, name):
        assert is_identifier(pd.Series(IDENTIFIERS[name], name=name))

    @pytest.mark.parametrize("name", OTHERS)
    def test_measurements_and_levels_are_not(self, name):
        assert not is_identifier(pd.Series(OTHERS[name], name=name))

    def test_in_frames_alone(self):
        assert TableFormat.learn(np.arange(200).reshape(100, 2)).identifiers == []
        frame = pd.DataFrame({"row": np.arange(100), "x": rng().normal(size=100)})
        assert TableFormat.learn(frame).identifiers == ["row"]
        assert TableFormat.learn(frame, identifiers="none").identifiers == []
        assert TableFormat.learn(frame, identifiers=["x"]).identifiers == ["x"]
        assert TableFormat.learn(frame, categorical_features=["row"]).identifiers == []

    @pytest.mark.parametrize(
        ("named", "got"), [(["z"], "'z', which is none"), ("row", "'row'"), (3, "3"), (None, "None")]
    )
    def test_names_that_are_none(self, named, got):
        frame = pd.DataFrame({"row": np.arange(100), "x": 1.0})
        with pytest.raises(ValueError, match=f"^Expected identifiers to be 'auto', 'none' or .* but got {got}"):
            TableFormat.learn(frame, identifiers=named)

    def test_of_arrays_cannot_be_named(self):
        with pytest.raises(ValueError, match=r"^Expected identifiers to be .* columns of a frame, but got an array"):
            TableFormat.learn(np.eye(3), identifiers=[0])

    def test_alone_are_nothing_to_learn_from(self):
        with pytest.raises(ValueError, match=r"^Expected X to have columns to learn from, .*\['row'\]"):
            TableFormat.learn(pd.DataFrame({"row": np.arange(100)}))

    def test_take_no_encoded_column(self):
        X = pd.DataFrame({"x": rng().normal(size=N), "iban": IDENTIFIERS["iban"]})
        known = TableFormat.learn(X)
        assert known.shape == (1,)
        assert known.encode(X).shape == (N, 1)
        assert known.describe()["iban"].startswith("identifier, not learned")
        assert known.decode(torch.randn(3, 1))["iban"].isna().all()


class TestFresh:
    @pytest.mark.parametrize("name", IDENTIFIERS)
    def test_are_of_the_form_and_no_training_value(self, name):
        values = pd.Series(IDENTIFIERS[name], name=name)
        column = Identifier.learn(values, values.dtype.name if name != "string" else "string")
        new = column.fresh(2000, rng(), values)
        assert new.dtype == values.dtype or name == "category"
        if name == "category":
            assert new.isna().all()
            return
        assert new.nunique() == 2000
        assert not new.isin(values).any()

    def test_of_text_have_lengths_and_characters_in_their_places(self):
        patterns = {
            "iban": r"AT\d{18}",
            "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "hash": r"[0-9a-f]{32}",
            "telephone": r"\+43 660 \d{7}",
            "transaction": r"TX-\d{7}",
            "e-mail": r"[a-z0-9]+@mail[012]\.com",
        }
        for name, pattern in patterns.items():
            values = pd.Series(IDENTIFIERS[name], dtype=object)
            new = Identifier.learn(values, "object").fresh(500, rng(), values)
            assert new.str.fullmatch(pattern).all(), name

    def test_domains_of_few_are_not_kept(self):
        values = pd.Series([f"me@secret{i}.org" for i in range(N)])
        column = Identifier.learn(values, str(values.dtype))
        assert "secret" not in json.dumps(column.to_dict())
        assert column.fresh(5, rng(), values).str.endswith("@example.org").all()

    def test_of_whole_numbers(self):
        rows = pd.Series(np.arange(1000))
        new = Identifier.learn(rows, "int64").fresh(1500, rng(), rows)
        assert new.dtype == "int64"
        assert new.min() >= 1000
        accounts = pd.Series(IDENTIFIERS["account number"])
        assert Identifier.learn(accounts, "int64").fresh(999, rng(), accounts).between(10**7, 10**8 - 1).all()

    def test_without_the_training_column_are_surely_new_or_missing(self):
        made = {
            name: Identifier.learn(pd.Series(IDENTIFIERS[name]), str(pd.Series(IDENTIFIERS[name]).dtype)).fresh(
                99, rng()
            )
            for name in ("iban", "uuid", "row", "transaction", "account number")
        }
        assert [made[name].isna().all() for name in made] == [False, False, False, True, True]
        assert made["row"].min() >= 1000, "above all that there were"
        assert made["account number"].dtype == "Int64", "whole numbers become nullable"

    def test_of_a_small_type_that_has_no_more(self):
        rows = pd.Series(np.arange(100), dtype="int8")
        assert Identifier.learn(rows, "int8").fresh(50, rng(), rows).dtype == "Int8"

    def test_missing_if_wanted(self):
        values = pd.Series(IDENTIFIERS["iban"])
        assert Identifier.learn(values, str(values.dtype), new="missing").fresh(5, rng(), values).isna().all()


SENTENCES = [" ".join(rng().choice(WORDS, 7)) + f" {i}" for i in range(N)]


class TestFreeText:
    def test_is_refused_with_advice(self):
        X = pd.DataFrame({"note": SENTENCES, "x": rng().normal(size=N)})
        with pytest.raises(ValueError, match=r"^Expected column 'note' .*but got free text, .*name it in identifiers"):
            TableFormat.learn(X)

    def test_named_as_identifier_is_missing_in_new_rows(self):
        X = pd.DataFrame({"note": SENTENCES, "x": rng().normal(size=N)})
        X_new, _ = ClassicalSampler(random_state=0, identifiers=["note"]).fit_resample(X, Y)
        assert X_new["note"][N:].isna().all()
        assert X_new["note"][:N].equals(X["note"])

    @pytest.mark.parametrize("name", ["iban in fours", "telephone", "name"])
    def test_is_none_of_these(self, name):
        assert not is_free_text(pd.Series(IDENTIFIERS[name]))

    def test_is_not_a_level_of_many_words(self):
        assert not is_free_text(pd.Series(["we do not know it yet", "as it was told to us"] * 200))


CANARY = "Zx9-canary-Qp7"


def with_canary(values, place=77):
    values = pd.Series(values).astype(object)
    values[place] = CANARY
    return values


CANARIES = {
    "level": with_canary(rng().choice(["Graz", "Linz"], N)),
    "pandas string": with_canary(rng().choice(["Graz", "Linz"], N)).astype("string"),
    "pyarrow string": with_canary(rng().choice(["Graz", "Linz"], N)).astype("string[pyarrow]"),
    "pyarrow's own string": with_canary(rng().choice(["Graz", "Linz"], N)).astype("large_string[pyarrow]"),
    "category": with_canary(rng().choice(["Graz", "Linz"], N)).astype("category"),
    "ordered": with_canary(rng().choice(["a", "b"], N)).astype(pd.CategoricalDtype([CANARY, "a", "b"], ordered=True)),
    "category of many": with_canary([f"product {i % 150}" for i in range(N)]).astype("category"),
    "e-mail": with_canary(IDENTIFIERS["e-mail"]).replace(CANARY, f"{CANARY}@{CANARY}.org"),
    "iban": with_canary(IDENTIFIERS["iban"]),
    "uuid": with_canary(IDENTIFIERS["uuid"]),
    "free form code": with_canary([f"{a}/{b}" for a, b in zip(digits(N, 3), digits(N, 5), strict=True)]),
    "codes of any length": with_canary([d[: 3 + i % 30] + "x" for i, d in enumerate(digits(N, 40))]),
    "category of identifiers": with_canary(IDENTIFIERS["iban"]).astype("category"),
    "beside missing ones": with_canary(rng().choice(["Graz", "Linz"], N)).mask(np.arange(N) % 7 == 3),
}


@pytest.mark.filterwarnings("ignore:Expected columns that say something:UserWarning")
class TestCanaries:
    @pytest.mark.parametrize("numbers", ["scores", "standard"])
    @pytest.mark.parametrize("kind", CANARIES)
    def test_is_neither_stored_nor_generated(self, kind, numbers):
        X = pd.DataFrame({"x": rng().normal(size=N), "a": CANARIES[kind]})
        known = TableFormat.learn(X, numbers=numbers, missing="mask")
        assert CANARY not in json.dumps(known.to_dict())
        new = known.decode(torch.randn(2000, known.shape[0]), rng())
        assert not new["a"].astype(str).str.contains(CANARY).any()
        assert CANARY not in "".join(map(str, getattr(new["a"].dtype, "categories", [])))

    @pytest.mark.parametrize("kind", CANARIES)
    def test_new_rows_of_a_sampler_and_its_bundle_do_not_hold_it(self, kind, tmp_path):
        index = [CANARY, *map(str, range(N - 1))]
        X = pd.DataFrame({"x": rng().normal(size=N), "a": CANARIES[kind].array}, index=index)
        y = np.roll(Y, 60 - 300)  # the canary is one of the rare class
        assert y[77] == 1
        sampler = RAESampler(max_steps=2, hidden_units=8, latent_dim=2, device="cpu", random_state=0, missing="mask")
        X_new, _ = sampler.fit_resample(X, y)
        assert X_new.dtypes.equals(X.dtypes)
        assert X_new["a"][:N].reset_index(drop=True).equals(X["a"].reset_index(drop=True))
        assert not X_new["a"][N:].astype(str).str.contains(CANARY).any()
        sampler = RAESampler(max_steps=2, hidden_units=8, latent_dim=2, device="cpu", random_state=0, missing="mask")
        save(sampler.fit(X, y), tmp_path / "bundle")
        for path in (tmp_path / "bundle").iterdir():
            assert CANARY.encode() not in path.read_bytes()
        assert not load(tmp_path / "bundle").sample(300, y=1)["a"].astype(str).str.contains(CANARY).any()


class TestSamplers:
    X = pd.DataFrame({"row": np.arange(N), "x": rng().normal(size=N), "iban": IDENTIFIERS["iban"]})

    def test_give_fresh_ones_and_say_which(self):
        sampler = ClassicalSampler(random_state=0)
        with pytest.warns(UserWarning, match="looks like identifiers: 'row', 'iban'") as caught:
            X_new, _ = sampler.fit_resample(self.X, Y)
        assert len(caught) == 1
        assert X_new.dtypes.equals(self.X.dtypes)
        for name in ("row", "iban"):
            assert X_new[name].is_unique
        assert X_new["iban"].str.fullmatch(r"AT\d{18}").all()
        again = ClassicalSampler(random_state=0, identifiers=["row", "iban"]).fit_resample(self.X, Y)[0]
        assert again.equals(X_new), "the same seed, and no warning"

    def test_or_missing_ones(self):
        sampler = ClassicalSampler(random_state=0, identifiers=["row", "iban"], new_identifiers="missing")
        X_new, _ = sampler.fit_resample(self.X, Y)
        assert X_new["row"].dtype == "Int64"
        assert X_new[["row", "iban"]][N:].isna().all().all()
        assert X_new["row"][:N].tolist() == list(range(N))

    def test_missing_ones_may_go_on_to_a_fit_and_to_predictions(self):
        settings = {"random_state": 0, "identifiers": ["row", "iban"], "new_identifiers": "missing"}
        sampler = ClassicalSampler(**settings)
        X_new, y_new = sampler.fit_resample(self.X, Y)
        assert X_new["iban"].isna().any()
        ClassicalSampler(**settings).fit(X_new, y_new)
        assert sampler.memorization_report(self.X, Y, n_samples=50).to_frame().shape[0] == 1
        with pytest.raises(ValueError, match=r"but got 1 in 400 rows: column 'x' contains NaN"):
            sampler.fit(self.X.assign(x=self.X["x"].where(self.X["row"] > 0)), Y)

    def test_of_several_classes_and_batches_are_different(self):
        X = pd.concat([self.X] * 5, ignore_index=True).assign(row=np.arange(5 * N))
        y = np.repeat([0, 1, 2], [1600, 200, 200])
        sampler = RAESampler(
            max_steps=2, hidden_units=8, latent_dim=2, device="cpu", random_state=0, identifiers=["row", "iban"]
        )
        X_new, _ = sampler.fit_resample(X, y)
        assert X_new["row"].is_unique
        assert X_new["iban"][5 * N :].is_unique
        assert not X_new["iban"][5 * N :].isin(X["iban"]).any()

"""Reading a deployment: what is wrong is named, with its place and the nearest right one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.home import Home
from configs.load import Config, configs_folder, load_config
from configs.secrets import read_secret
from configs.service import Secret

SHIPPED = Path(__file__).resolve().parents[3] / "configs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped configuration that a test may spoil."""
    for name in ("brands", "training"):
        shutil.copytree(SHIPPED / name, tmp_path / "configs" / name)
    shutil.copy(SHIPPED / "service.yaml", tmp_path / "configs" / "service.yaml")
    return tmp_path / "configs"


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def refusal(folder: Path, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(folder, environment)
    return str(caught.value)


def test_the_shipped_configuration_loads_and_its_paths_are_absolute(folder: Path) -> None:
    config = load_config(folder, {})
    assert set(config.brands) == {"velmora", "dicehollow"}
    assert config.brands["velmora"].pages == folder.parent / "samples/velmora/pages"


@pytest.mark.parametrize(
    ("file", "old", "new", "hint"),
    [
        pytest.param("service.yaml", "  port: 8000", "  prot: 8000", "did you mean 'port'?", id="key"),
        pytest.param("service.yaml", "engine:", "engin:", "did you mean 'engine'?", id="section"),
        pytest.param("service.yaml", "signing_secret:", "signing_secrett:", "did you mean 'signing_secret'?", id="app"),
        pytest.param("brands/velmora.yaml", "  greeting:", "  greting:", "did you mean 'greeting'?", id="brand"),
        pytest.param("brands/velmora.yaml", "team_id:", "teem_id:", "did you mean 'team_id'?", id="binding"),
    ],
)
def test_an_unknown_key_is_refused_with_file_line_and_the_nearest_known_key(
    folder: Path, file: str, old: str, new: str, hint: str
) -> None:
    spoil(folder / file, old, new)
    line = next(n for n, text in enumerate((folder / file).read_text().splitlines(), 1) if new in text)
    message = refusal(folder)
    assert hint in message
    assert f"{folder / file}:{line}:" in message


def test_all_mistakes_of_a_file_are_told_at_once(folder: Path) -> None:
    spoil(folder / "service.yaml", "  port: 8000", "  prot: 8000\n  max_turns: none")
    message = refusal(folder)
    assert "service.prot" in message
    assert "service.max_turns" in message


def test_a_missing_file_is_refused_with_a_name_that_is_near(folder: Path) -> None:
    (folder / "service.yaml").rename(folder / "servce.yaml")
    assert "did you mean 'servce.yaml'?" in refusal(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "BRANDVOICE_CONFIGS" in refusal(tmp_path / "nowhere")


def test_a_deployment_without_a_brand_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "brands")
    assert "brands" in refusal(folder)
    (folder / "brands").mkdir()
    assert "holds no brand" in refusal(folder)


def test_a_brand_file_with_another_ending_is_not_passed_over(folder: Path) -> None:
    (folder / "brands/velmora.yaml").rename(folder / "brands/velmora.yml")
    assert "rename it to velmora.yaml" in refusal(folder)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        pytest.param(b"service: [1", "service.yaml:1 is not YAML", id="broken"),
        pytest.param(b"- a\n- b\n", "key: value", id="list"),
        pytest.param(b"service:\n  port: 1\n  port: 2\n", "service.yaml:3 sets 'port' a second time", id="twice"),
        pytest.param(b"\xff\xfe\x00", "not UTF-8", id="binary"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_with_its_line(folder: Path, content: bytes, word: str) -> None:
    (folder / "service.yaml").write_bytes(content)
    assert word in refusal(folder)


def test_an_empty_service_file_means_all_defaults(folder: Path) -> None:
    (folder / "service.yaml").write_text("")
    for brand in ("velmora", "dicehollow"):
        text = (folder / f"brands/{brand}.yaml").read_text()
        (folder / f"brands/{brand}.yaml").write_text(text[: text.index("# Identities")])
    assert load_config(folder, {}).service.service.port == 8000


def test_the_environment_beats_the_file_and_is_named_as_the_origin(folder: Path) -> None:
    config = load_config(folder, {"BRANDVOICE_SERVICE__PORT": "8123", "BRANDVOICE_ENGINE__MAX_LORAS": "7"})
    assert config.service.service.port == 8123
    assert config.origins["service.port"] == "BRANDVOICE_SERVICE__PORT"
    assert config.origins["engine.max_loras"] == "BRANDVOICE_ENGINE__MAX_LORAS"
    assert config.origins["service.host"] == "configs/service.yaml:4"
    assert config.origins["service.max_turns"] == "default"
    assert config.origins["brands.velmora.name"] == "configs/brands/velmora.yaml:2"


def test_an_app_can_be_changed_from_the_environment(folder: Path) -> None:
    config = load_config(folder, {"BRANDVOICE_APPS__SLACK__MAIN__API_URL": "http://127.0.0.1:9/x"})
    assert config.service.apps.slack["main"].api_url == "http://127.0.0.1:9/x"


def test_a_secret_named_in_the_environment_replaces_the_one_of_the_file(folder: Path) -> None:
    config = load_config(folder, {"BRANDVOICE_APPS__SLACK__MAIN__BOT_TOKEN__FILE": "/run/token"})
    assert config.service.apps.slack["main"].bot_token == Secret(file=Path("/run/token"))


def test_an_empty_variable_counts_as_unset(folder: Path) -> None:
    config = load_config(folder, {"BRANDVOICE_ENGINE__URL": "", "BRANDVOICE_SERVICE__PORT": ""})
    assert config.service.engine.url is None
    assert config.service.service.port == 8000


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BRANDVOICE_SERVICE__PROT", "did you mean 'BRANDVOICE_SERVICE__PORT'?"),
        ("BRANDVOICE_HOEM", "did you mean 'BRANDVOICE_HOME'?"),
        ("BRANDVOICE_GENERATION__TEMPRATURE", "did you mean 'BRANDVOICE_GENERATION__TEMPERATURE'?"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known_one(folder: Path, name: str, hint: str) -> None:
    assert hint in refusal(folder, **{name: "1"})


def test_a_variable_that_names_a_section_is_refused_with_its_keys(folder: Path) -> None:
    message = refusal(folder, BRANDVOICE_SERVICE__API_KEYS="k")
    assert "BRANDVOICE_SERVICE__API_KEYS__ENV" in message


def test_a_wrong_value_of_a_variable_names_the_variable(folder: Path) -> None:
    assert "BRANDVOICE_SERVICE__PORT: service.port" in refusal(folder, BRANDVOICE_SERVICE__PORT="abc")


def test_a_variable_that_a_secret_names_is_known(folder: Path) -> None:
    assert "BRANDVOICE_KEYS" in refusal(folder, BRANDVOICE_KEYS="k")
    environment = {"BRANDVOICE_KEYS": "k", "BRANDVOICE_SERVICE__API_KEYS__ENV": "BRANDVOICE_KEYS"}
    assert load_config(folder, environment).service.service.api_keys == Secret(env="BRANDVOICE_KEYS")


def test_variables_of_other_programs_are_nobodys_business(folder: Path) -> None:
    assert isinstance(load_config(folder, {"BRAND": "x", "HOME": "/"}), Config)


def test_a_brand_must_be_called_as_its_file(folder: Path) -> None:
    (folder / "brands/velmora.yaml").rename(folder / "brands/velmoro.yaml")
    assert "names the brand 'velmora'" in refusal(folder)


def test_two_brands_cannot_share_a_site_key(folder: Path) -> None:
    key = load_config(folder, {}).brands["velmora"].widget.site_key
    other = load_config(folder, {}).brands["dicehollow"].widget.site_key
    spoil(folder / "brands/dicehollow.yaml", other, key)
    assert f"site_key '{key}' is taken by the brand 'dicehollow'" in refusal(folder)


def test_two_brands_cannot_share_an_identity_on_a_platform(folder: Path) -> None:
    spoil(folder / "brands/dicehollow.yaml", "T0DICEHOL1", "T0VELMORA1")
    assert "slack binding 'T0VELMORA1' is taken" in refusal(folder)


def test_a_brand_cannot_name_one_identity_twice(folder: Path) -> None:
    path = folder / "brands/velmora.yaml"
    path.write_text(path.read_text() + "  - {channel: slack, app: main, team_id: T0VELMORA1}\n")
    assert "is taken" in refusal(folder)


def test_a_binding_to_an_app_that_is_not_there_is_refused(folder: Path) -> None:
    spoil(folder / "brands/velmora.yaml", "{channel: slack, app: main", "{channel: slack, app: mian")
    message = refusal(folder)
    assert "no slack app 'mian'" in message
    assert "did you mean 'main'?" in message


def test_a_team_in_slack_needs_an_app_that_is_there(folder: Path) -> None:
    path = folder / "brands/velmora.yaml"
    text = re.sub(r"(?ms)^handover:.*?(?=^\S|\Z)", "", path.read_text())
    team = "handover: {{slack: {{app: {app}, team_id: T0TEAM, channel: C0TEAM}}}}\n"
    path.write_text(text + team.format(app="mian"))
    message = refusal(folder)
    assert "handover.slack names the slack app 'mian'" in message
    assert "did you mean 'main'?" in message
    path.write_text(text + team.format(app="main"))
    slack = load_config(folder, {}).brands["velmora"].handover.slack
    assert slack is not None
    assert slack.channel == "C0TEAM"


def test_a_retraining_needs_a_recipe_that_is_there(folder: Path) -> None:
    path = folder / "brands/velmora.yaml"
    text = path.read_text()
    path.write_text(text + "retraining: {recipe: quick_cpuu, start: train}\n")
    message = refusal(folder)
    assert "retraining.recipe names 'quick_cpuu'" in message
    assert "did you mean 'quick_cpu'?" in message
    path.write_text(text + "retraining: {recipe: quick_cpu, drift: null, schedule: {days: [mon]}}\n")
    plan = load_config(folder, {}).brands["velmora"].retraining
    assert (plan.drift, plan.schedule and plan.schedule.at) == (None, "03:00")


def test_the_simulator_is_refused_beyond_loopback(folder: Path) -> None:
    message = refusal(folder, BRANDVOICE_SERVICE__SIMULATOR="true", BRANDVOICE_SERVICE__HOST="0.0.0.0")
    assert "simulator is for this machine only" in message


def test_a_handoff_webhook_without_a_secret_is_refused(folder: Path) -> None:
    assert "webhook_secret" in refusal(folder, BRANDVOICE_HANDOFF__WEBHOOK_URL="https://desk.example/hook")


def test_a_secret_is_read_from_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    assert read_secret(Secret(file=tmp_path / "token"), {}) == "s3cret"
    assert read_secret(Secret(env="TOKEN"), {"TOKEN": "s3cret"}) == "s3cret"


@pytest.mark.parametrize("secret", [Secret(env="TOKEN"), Secret(file=Path("/nowhere/token"))])
def test_a_secret_that_is_not_there_is_an_error_that_names_its_place(secret: Secret) -> None:
    with pytest.raises(ConfigError, match=r"TOKEN|/nowhere/token"):
        read_secret(secret, {"TOKEN": "  "})


def test_home_and_configs_are_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Home.from_environment({"BRANDVOICE_HOME": str(tmp_path)}).database == tmp_path / "brandvoice.db"
    assert configs_folder({"BRANDVOICE_CONFIGS": str(tmp_path)}) == tmp_path
    monkeypatch.chdir(tmp_path)
    assert Home.from_environment({}).root == tmp_path / "var"
    assert configs_folder({}) == SHIPPED

"""Settings: who beats whom, what is refused, and that no secret is ever said aloud."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from counterfoil.cli.output import as_option
from counterfoil.errors import UsageError
from counterfoil.settings import OTHER_VARIABLES, Profile, Settings


def load(folder: Path, text: str = "", /, environ: dict[str, str] | None = None, **arguments: object) -> Settings:
    if text:
        (folder / "counterfoil.toml").write_text(text, encoding="utf-8")
    return Settings.load(arguments, environ=environ or {}, directory=folder, spelled=as_option)


def test_defaults_are_a_complete_server_on_one_machine(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()
    assert (Settings().host, Settings().port, Settings().data) == ("127.0.0.1", 8080, Path("counterfoil-data"))


def test_argument_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    environ = {"COUNTERFOIL_PORT": "3"}
    assert load(tmp_path).port == 8080
    assert load(tmp_path, "port = 2").port == 2
    assert load(tmp_path, environ=environ).port == 3
    assert load(tmp_path, environ=environ, port=4).port == 4
    assert load(tmp_path, environ=environ, port=None).port == 3


def test_explicit_nothing_is_a_value_and_wins(tmp_path: Path) -> None:
    text = 'port = 2\nhttps_port = 443\nissuer = "https://login.example/tenant"'
    environ = {"COUNTERFOIL_PORT": "0", "COUNTERFOIL_ISSUER": "", "COUNTERFOIL_HTTPS_PORT": ""}
    settings = load(tmp_path, text, environ)
    assert (settings.port, settings.issuer, settings.https_port) == (0, "", None)
    assert load(tmp_path, environ={"COUNTERFOIL_PORT": "3"}, port=0).port == 0


@pytest.mark.parametrize(
    ("text", "environ", "said"),
    [
        ("prot = 1", {}, "counterfoil.toml: there is no setting 'prot'. Did you mean 'port'?"),
        ("[server]\nport = 1", {}, "counterfoil.toml: there is no setting 'server'"),
        ("dev = true", {}, "counterfoil.toml: there is no setting 'dev'"),
        ("", {"COUNTERFOIL_ISUER": "x"}, "no such setting. Did you mean 'COUNTERFOIL_ISSUER'?"),
        ("", {"COUNTERFOIL_DEV": "1"}, "The environment has COUNTERFOIL_DEV, and there is no such setting."),
        ("port = true", {}, "counterfoil.toml: port must be a whole number from 0 to 65535, not True."),
        ("port = 65536", {}, "counterfoil.toml: port must be a whole number from 0 to 65535, not 65536."),
        ("port = 80.0", {}, "counterfoil.toml: port must be a whole number from 0 to 65535, not 80.0."),
        ("", {"COUNTERFOIL_PORT": "80a"}, "COUNTERFOIL_PORT must be a whole number from 0 to 65535, not '80a'."),
        ("", {"COUNTERFOIL_PORT": "٣"}, "COUNTERFOIL_PORT must be a whole number from 0 to 65535, not '٣'."),
        ("", {"COUNTERFOIL_DATA": ""}, "COUNTERFOIL_DATA must be a path, not ''."),
        ("host = 1", {}, "counterfoil.toml: host must be text, not 1."),
        ("", {"COUNTERFOIL_PUBLIC_URL": "billing.example"}, "COUNTERFOIL_PUBLIC_URL must be a URL that begins with"),
        ("", {"COUNTERFOIL_PUBLIC_URL": "https://x.example:port"}, "COUNTERFOIL_PUBLIC_URL must be a URL that begins"),
        ("", {"COUNTERFOIL_PUBLIC_URL": "https://x.example/?a"}, "without ? or #"),
        ("", {"COUNTERFOIL_DATABASE_URL": "mysql://u:hidden@db"}, "must begin with sqlite:// or postgresql://"),
        ("", {"COUNTERFOIL_FILES_URL": "s3://bucket"}, "only the embedded default exists so far"),
        ("", {"COUNTERFOIL_ENGINE_URL": "spark://x"}, "only the embedded default exists so far"),
        ("", {"COUNTERFOIL_TLS_CERT": "cert.pem"}, "tls_cert and tls_key go together"),
        ("port = x\n", {}, "is not TOML: Invalid value (at line 1, column 8)"),
        ("profiles = 1", {}, "profiles are written as [profiles.NAME] tables"),
        ("[profiles.a]\nulr = 'x'", {}, "profiles.a: there is no setting 'ulr'. Did you mean 'url'?"),
        ("[profiles.a]\nclient_id = 'x'", {}, "profiles.a: url is missing"),
        ("[profiles.a]\nurl = 'https://x'\napi = 'v2'", {}, "profiles.a: api must be 'graph' or 'v1', not 'v2'."),
        ("[profiles.a]\nurl = 'https://x'\ntoken = 'x'\ntoken_env = 'X'", {}, "token and token_env are both given"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_by_name_and_origin(
    tmp_path: Path, text: str, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, text, environ)
    assert said in str(refused.value)


def test_an_argument_that_cannot_be_right_is_named_as_it_was_typed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--public-url must be a URL that begins with https:// or http://"):
        load(tmp_path, public_url="x")


def test_variables_that_kubernetes_sets_are_explained(tmp_path: Path) -> None:
    for name in ("COUNTERFOIL_PORT", "COUNTERFOIL_PORT_8080_TCP"):
        with pytest.raises(UsageError, match="enableServiceLinks: false"):
            load(tmp_path, environ={name: "tcp://10.0.0.1:8080"})


def test_variables_of_other_programs_and_the_documented_ones_are_let_be(tmp_path: Path) -> None:
    assert load(tmp_path, environ={"HOME": "x", "PORT": "y", "COUNTERFOIL_TOKEN": "z"}) == Settings()


def test_the_file_is_named_by_argument_then_variable_and_must_then_be_there(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("port = 1")
    (tmp_path / "b.toml").write_text("port = 2")
    environ = {"COUNTERFOIL_CONFIG": str(tmp_path / "a.toml")}
    assert load(tmp_path, "port = 3", environ).port == 1
    assert Settings.load(environ=environ, directory=tmp_path, config=tmp_path / "b.toml").port == 2
    with pytest.raises(UsageError, match=r"nowhere\.toml cannot be read: No such file"):
        Settings.load(environ={}, directory=tmp_path, config=Path("nowhere.toml"))


def test_a_file_with_a_byte_order_mark_is_read_and_one_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "counterfoil.toml").write_bytes(b"\xef\xbb\xbfport = 5\r\n")
    assert load(tmp_path).port == 5
    (tmp_path / "counterfoil.toml").write_bytes(b"host = '\xff'")
    with pytest.raises(UsageError, match="is not UTF-8"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"[profile.contoso]\nurl = 'http://a'", "no setting 'profile'. Write a profile as [profiles.contoso]."),
        (b"[contoso]\nurl = 'http://a'", "no setting 'contoso'. Write a profile as [profiles.contoso]."),
        (b'[profiles.a]\nto = "C:\\Billing"', "Write a Windows path in single quotes: 'C:\\Billing'."),
        ("[profiles.a]".encode("utf-16"), "is not UTF-8. Save it again as UTF-8"),
        ("[profiles.a]".encode("utf-16-le"), "is not UTF-8. Save it again as UTF-8"),
    ],
)
def test_likely_mistakes_in_the_file_are_told_with_what_to_do(tmp_path: Path, written: bytes, said: str) -> None:
    (tmp_path / "counterfoil.toml").write_bytes(written)
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert said in str(caught.value)


def test_a_profile_without_a_settings_file_says_where_that_was_looked_for(tmp_path: Path) -> None:
    for remedy in ("Change to its folder, or name it (`config`).", "There is a counterfoil.toml.txt: rename it"):
        with pytest.raises(UsageError) as caught:
            load(tmp_path).profile("contoso")
        told = f"There is no profile 'contoso', because there is no counterfoil.toml in {tmp_path}. {remedy}"
        assert str(caught.value).startswith(told)
        (tmp_path / "counterfoil.toml.txt").write_text("")


def test_paths_in_the_file_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/c.toml").write_text("data = 'd'")
    settings = Settings.load(environ={}, directory=tmp_path, config=tmp_path / "etc/c.toml")
    assert settings.data == tmp_path / "etc/d"
    assert load(tmp_path, environ={"COUNTERFOIL_DATA": "d"}).data == Path("d")


def test_an_issuer_keeps_its_last_slash_and_a_base_url_does_not(tmp_path: Path) -> None:
    settings = load(tmp_path, "issuer = 'https://sts.example/{tid}/'\npublic_url = 'https://billing.example/'")
    assert (settings.issuer, settings.public_url) == ("https://sts.example/{tid}/", "https://billing.example")


PROFILE = """
[profiles.contoso]
url = "https://graph.example/"
client_id = "id"
client_secret_env = "COUNTERFOIL_CONTOSO"
"""


def test_a_profile_takes_its_secret_from_the_variable_it_names(tmp_path: Path) -> None:
    profile = load(tmp_path, PROFILE, {"COUNTERFOIL_CONTOSO": "hush"}).profile("contoso")
    assert (profile.url, profile.client_secret, profile.api) == ("https://graph.example", "hush", "graph")
    assert load(tmp_path, PROFILE).profile("contoso").client_secret == ""


def test_an_unknown_profile_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no profile 'contso'\. Did you mean 'contoso'\?"):
        load(tmp_path, PROFILE).profile("contso")


def test_no_secret_is_in_a_repr_or_an_error(tmp_path: Path) -> None:
    settings = load(tmp_path, PROFILE, {"COUNTERFOIL_CONTOSO": "hush", "COUNTERFOIL_SECRET": "k1 hush"})
    assert settings.secret == "k1 hush"
    assert "hush" not in repr(settings)
    assert "hush" not in repr(Profile("a", client_secret="hush", token="hush"))
    for text in ("secret = ['hush']", "[profiles.a]\nurl='https://x'\ntoken = ['hush']"):
        with pytest.raises(UsageError) as refused:
            load(tmp_path, text)
        assert "hush" not in str(refused.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_has_a_sentence() -> None:
    for each in (*fields(Settings), *fields(Profile)):
        if each.name not in {"name", "profiles"}:
            assert each.metadata["about"].endswith("."), each.name
    assert all(about.endswith(".") for about in OTHER_VARIABLES.values())

"""What `headstart deploy` writes: whole, for the right places, with nothing that a quote could break."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import ArtefactError, OptionError, StorageError
from headstart.serving.deployment import certificates
from headstart.serving.deployment.certificates import belong_together, is_address, read, self_signed
from headstart.serving.deployment.checking import check, read_deployment
from headstart.serving.deployment.workstation import write_workstation
from headstart.serving.deployment.writing import Deployment, write

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def site(patterns: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    write(Deployment("models.example.org", str(folder)), (patterns,), folder)
    return folder


@needs_openssl
def test_everything_a_server_needs_is_written(site: Path, patterns: Path) -> None:
    deployment, models = read_deployment(site)
    assert models == (patterns.name,)
    assert deployment == Deployment("models.example.org", str(site))
    assert (site / "models" / patterns.name / "artefact.json").is_file()
    nginx = (site / "nginx" / "site.conf").read_text()
    for wanted in (
        "server unix:/run/headstart/socket",
        "ssl_protocols TLSv1.2 TLSv1.3",
        "http2",
        "keepalive 32",
        "gzip on",
        "client_max_body_size 32m",
        "limit_req zone=headstart_asks",
        "Strict-Transport-Security",
        "proxy_cache headstart",
    ):
        assert wanted in nginx
    unit = (site / "systemd" / "headstart.service").read_text()
    assert f"serve {site}/models/{patterns.name} --socket /run/headstart/socket" in unit
    for wanted in (
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateNetwork=yes",
        "ExecReload=/bin/kill -HUP",
    ):
        assert wanted in unit
    image = (site / "Dockerfile").read_text()
    assert patterns.name in image
    copied = [word for line in image.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied == ["README.md", "*.whl", "models"]  # no private key


@needs_openssl
def test_no_word_is_left_to_fill_in(site: Path) -> None:
    for path in site.rglob("*"):
        if path.is_file() and "models" not in path.parts:
            assert not re.search(r"\{\{|\{%", path.read_text()), path


@needs_openssl
def test_written_again_the_certificate_stays_and_models_are_brought_up_to_date(
    site: Path, patterns: Path, mood: Path
) -> None:
    before = (site / "tls" / "key.pem").read_bytes()
    write(Deployment("models.example.org", str(site)), (patterns, mood), site)
    assert (site / "tls" / "key.pem").read_bytes() == before
    assert read_deployment(site)[1] == (patterns.name, mood.name)
    # Of what lies there already nothing is copied onto itself.
    write(Deployment("models.example.org", str(site)), (site / "models" / mood.name,), site)
    assert (site / "models" / mood.name / "artefact.json").is_file()
    write(Deployment("other.example.org", str(site)), (), site)
    assert (site / "tls" / "key.pem").read_bytes() != before


@needs_openssl
def test_written_again_a_model_that_has_learned_there_stays(site: Path, patterns: Path) -> None:
    place = site / "models" / patterns.name
    place.rename(site / "first")
    place.mkdir()
    (site / "first").rename(place / "1.headstart")
    shutil.copytree(place / "1.headstart", place / "2.headstart")
    with pytest.raises(OptionError, match="without 2"):
        write(Deployment("models.example.org", str(site)), (patterns,), site)
    assert (place / "2.headstart" / "artefact.json").is_file()
    write(Deployment("models.example.org", str(site)), (place,), site)
    assert (place / "2.headstart" / "artefact.json").is_file()


@needs_openssl
def test_the_private_key_is_its_owners_alone(site: Path) -> None:
    assert stat.S_IMODE((site / "tls" / "key.pem").stat().st_mode) == 0o600
    found = read(site / "tls" / "certificate.pem")
    assert found.names == ("models.example.org",)
    assert 800 < found.days < 826
    assert belong_together(site / "tls" / "certificate.pem", site / "tls" / "key.pem")


def test_letsencrypt_needs_no_certificate_yet(tmp_path: Path) -> None:
    write(Deployment("example.org", "/srv/x", tls="letsencrypt"), (), tmp_path)
    assert not (tmp_path / "tls").exists()
    nginx = (tmp_path / "nginx" / "site.conf").read_text()
    assert "/etc/letsencrypt/live/example.org/fullchain.pem" in nginx
    assert "location /.well-known/acme-challenge/" in nginx
    assert "certbot certonly" in (tmp_path / "README.md").read_text()


def test_an_address_is_served_without_a_name(tmp_path: Path) -> None:
    write(Deployment("192.0.2.7", "/srv/x", tls="letsencrypt"), (), tmp_path)
    assert "ssl_reject_handshake" not in (tmp_path / "nginx" / "site.conf").read_text()
    assert is_address("192.0.2.7")
    assert not is_address("example.org")


@pytest.mark.parametrize(
    "domain",
    ["", "https://a.org", "a.org/x", "exa mple.org", "-a.org", "a..org", "a;b", "ä.org", "A.org", "x" * 64],
)
def test_what_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(OptionError, match="a domain name"):
        Deployment(domain, "/srv/x")


@settings(max_examples=200)
@given(st.text(max_size=12))
def test_no_path_can_break_out_of_a_configuration(path: str) -> None:
    try:
        deployment = Deployment("example.org", "/" + path)
    except OptionError:
        return
    assert not set(deployment.to) & set(" \t\n;{}'\"\\$#%`|&<>()")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(OptionError, match="a port"):
        Deployment("example.org", "/srv/x", https_port=port)


def test_models_that_are_none_or_need_quotes_are_refused(patterns: Path, tmp_path: Path) -> None:
    plan = Deployment("example.org", "/srv/x", tls="letsencrypt")
    with pytest.raises(ArtefactError, match="a saved model"):
        write(plan, (tmp_path,), tmp_path / "out")
    odd = tmp_path / "my model.headstart"
    odd.symlink_to(patterns)
    shutil.copytree(patterns, tmp_path / "a b.headstart")
    with pytest.raises(OptionError, match="needs no quotes"):
        write(plan, (tmp_path / "a b.headstart",), tmp_path / "out")
    with pytest.raises(OptionError, match="names of their own"):
        write(plan, (patterns, odd), tmp_path / "out")  # the same one, through a link


def test_without_openssl_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates.shutil, "which", lambda _: None)
    with pytest.raises(StorageError, match="openssl"):
        self_signed("example.org", tmp_path)


@needs_openssl
def test_the_check_finds_what_is_wrong(site: Path, tmp_path: Path) -> None:
    found = {finding.about: finding for finding in check(site)}
    assert found["folder"].good
    assert found["certificate"].good
    assert found["private key"].good
    assert found["model patterns"].good
    key = site / "tls" / "key.pem"
    key.chmod(0o644)
    assert {f.about: f for f in check(site)}["private key"].good is False
    self_signed("models.example.org", tmp_path / "other")
    key.write_bytes((tmp_path / "other" / "key.pem").read_bytes())
    assert "not the key" in {f.about: f for f in check(site)}["certificate"].words
    key.write_text("nonsense")
    assert {f.about: f for f in check(site)}["certificate"].good is False
    shutil.rmtree(site / "tls")
    shutil.rmtree(site / "models" / "patterns.headstart")
    found = {finding.about: finding for finding in check(site)}
    assert "not there" in found["certificate"].words
    assert found["model patterns.headstart"].good is False


@needs_openssl
def test_the_check_tells_a_moved_folder_and_another_domain(site: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(site, moved)
    assert {f.about: f for f in check(moved)}["folder"].good is False
    value = json.loads((site / "deploy.json").read_text())
    (site / "deploy.json").write_text(json.dumps({**value, "domain": "b.example.org"}))
    assert "not for b.example.org" in {f.about: f for f in check(site)}["certificate"].words
    (site / "deploy.json").write_text(json.dumps({**value, "to": "/home/ada/site"}))
    assert "may not look" in {f.about: f for f in check(site)}["folder"].words
    for damaged in ("[]", "{", "{}"):
        (site / "deploy.json").write_text(damaged)
        with pytest.raises(OptionError, match=r"deploy\.json"):
            check(site)


@pytest.mark.parametrize("name", ["backup.sh"])
@needs_openssl
def test_scripts_are_shell(site: Path, name: str) -> None:
    subprocess.run(["sh", "-n", str(site / name)], check=True)


@needs_openssl
def test_a_workstation_is_reached_through_a_tunnel_alone(tmp_path: Path) -> None:
    write_workstation(tmp_path, "gpu.example.org")
    for script in ("setup.sh", "tunnel.sh", "check-gpu.sh"):
        subprocess.run(["sh", "-n", str(tmp_path / script)], check=True)
        assert (tmp_path / script).stat().st_mode & 0o111
    settings = (tmp_path / "jupyter_server_config.py").read_text()
    compile(settings, "jupyter_server_config.py", "exec")
    assert 'c.ServerApp.ip = "127.0.0.1"' in settings
    assert "-L " in (tmp_path / "tunnel.sh").read_text()
    assert read(tmp_path / "tls" / "certificate.pem").names == ("localhost",)
    with pytest.raises(OptionError, match="name or address"):
        write_workstation(tmp_path, "gpu; rm -rf /")
    with pytest.raises(OptionError, match="a port"):
        write_workstation(tmp_path, "gpu", port=80)


@needs_openssl
def test_a_machine_without_a_card_is_told_so(tmp_path: Path) -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU here")
    write_workstation(tmp_path, "gpu.example.org")
    done = subprocess.run([str(tmp_path / "check-gpu.sh")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "to fix" in done.stdout

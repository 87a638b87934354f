from typer.testing import CliRunner

from semihand.cli import app
from semihand.doctor import Finding, examine
from semihand.models import model_file


def test_command_says_what_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path)
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert any(line.startswith("NO  models") and "export" in line for line in lines)
    assert any(line.startswith("NO  detector") and "Reinstall" in line for line in lines)


def test_broken_model_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.onnx").write_text("no model")
    assert any("mine.onnx is no readable ONNX model" in finding.says for finding in examine() if finding.ok is False)


def test_finding_is_one_line():
    assert str(Finding("cuda", None, "no GPU")) == "--  cuda       no GPU"
    assert all("\n" not in str(finding) for finding in examine())

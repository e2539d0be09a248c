"""What several of these tests need."""

import json

import pytest


@pytest.fixture
def write_jsonl(tmp_path):
    """Write rows to a file in the test's own directory and return its path as text."""

    def write(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write

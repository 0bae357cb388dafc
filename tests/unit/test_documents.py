"""Pages and files refer to files, pages and headings that exist."""

import re
import subprocess
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PATH = re.compile(r"`((?:api|pipeline|render|deploy|tests)/[\w./-]*)`")


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = set(_PATH.findall((ROOT / page).read_text("utf-8")))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_architecture_names_every_package_and_module_of_the_top() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    for room in ("api", "pipeline", "render"):
        for path in (ROOT / room).iterdir():
            if path.name.startswith("_") or (path.is_file() and path.suffix != ".py"):
                continue
            name = path.relative_to(ROOT).as_posix() + ("/" if path.is_dir() else "")
            assert f"`{name}`" in text, name


def tracked() -> list[Path]:
    """Return the files that Git tracks; none outside of a checkout."""
    if not (ROOT / ".git").exists():
        return []
    listed = subprocess.check_output(("git", "ls-files", "-z"), cwd=ROOT, text=True)
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


FILES = tracked()
PAGES = [path for path in FILES if path.suffix == ".md"]
#: Files besides Markdown that refer to pages.
_SUFFIXES = {".py", ".yaml", ".yml", ".toml", ".sh", ".env", ".html", ".json", ".conf", ".service"}
_NAMES = {"Dockerfile", "Makefile"}
OTHERS = [path for path in FILES if path.suffix in _SUFFIXES or path.name in _NAMES]

_FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(
    r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]\(\s*<?([^\s()<>]+)>?(?:\s+\"[^\"]*\")?\s*\)"
)
_REFERENCE = re.compile(r"^ {0,3}\[[^\]^][^\]]*\]:\s*<?([^\s<>]+)>?", re.MULTILINE)
_HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"([^\"]+)\"")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|<[^>]+>")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|//")
#: A mention of a page in other files, with or without a heading.
_MENTION = re.compile(r"(?<![\w./:-])((?:[\w.-]+/)*[\w.-]+\.md)(?:#([\w-]+))?")


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links and images, outside of code."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    # A link whose text is code stays a link; a link inside code is removed with the code.
    text = _CODE.sub("code", text)
    for pattern in (_LINK, _REFERENCE, _HTML):
        yield from pattern.findall(text)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings by GitHub's rule, and its HTML anchors."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    found = set(re.findall(r"<[a-z]+\b[^>]*\b(?:id|name)=\"([^\"]+)\"", text))
    seen: Counter[str] = Counter()
    for heading in _HEADING.findall(text):
        slug = github_slug(heading)
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def github_slug(heading: str) -> str:
    """Return the anchor of a heading: lower case, spaces as hyphens, no other punctuation."""
    text = _MARKUP.sub(r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def defect(target: Path, anchor: str) -> str:
    """Return what is wrong with a link, or an empty string."""
    if not target.exists():
        return "no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return "no such heading"
    return ""


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("S3: buckets, credentials and policies", "s3-buckets-credentials-and-policies"),
        ("`POST /qr/bulk/` (base)", "post-qrbulk-base"),
        ("Build & run, then stop", "build--run-then-stop"),
        ("[Redis](redis.md): `maxmemory_policy`", "redis-maxmemory_policy"),
    ],
)
def test_a_slug_is_that_of_github(heading: str, slug: str) -> None:
    assert github_slug(heading) == slug


def test_code_is_no_link_and_headings_of_one_name_are_numbered(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n## A\n```sh\n# not [a](link.md)\n```\n`[b](c.md)` [`d`](e.md#f) ![i](j.svg)\n"
        '[k [l] m](n.md)\n[r]: s.md\n<img src="t.svg">\n',
        "utf-8",
    )
    assert anchors(page) == {"a", "a-1"}
    assert sorted(links(page)) == ["e.md#f", "j.svg", "n.md", "s.md", "t.svg"]


@pytest.mark.skipif(not FILES, reason="this is no Git checkout")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if _SCHEME.match(link):
            continue
        path, _, anchor = urllib.parse.unquote(link).partition("#")
        assert not path.startswith("/"), link
        if reason := defect(page.parent / path if path else page, anchor):
            broken.append((link, reason))
    assert broken == []


@pytest.mark.skipif(not FILES, reason="this is no Git checkout")
def test_every_page_that_another_file_mentions_is_there() -> None:
    broken = []
    mentioned = 0
    for path in OTHERS:
        if path == Path(__file__):
            continue
        for name, anchor in _MENTION.findall(path.read_text("utf-8")):
            if not anchor and not name.startswith("deploy/"):
                continue
            mentioned += 1
            where = [base / name for base in (ROOT, path.parent)]
            if all(defect(target, anchor) for target in where):
                broken.append((path.relative_to(ROOT).as_posix(), f"{name}#{anchor}"))
    assert mentioned
    assert broken == []

import string

from hypothesis import given
from hypothesis import strategies as st

from pipeline.archive.member_names import member_name
from pipeline.model.jobs import Item
from pipeline.model.layout import FIRST_LAYOUT, Layout
from pipeline.model.records import JobFields

printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)


def job(items: int, layout: Layout = FIRST_LAYOUT) -> JobFields:
    return JobFields(
        task_id="t",
        key_id="k",
        key_name="name",
        request_id="r",
        callback_url="",
        gtin="09506000134352",
        format="png",
        size=400,
        error_correction="M",
        link_base="https://id.gs1.org",
        items=items,
        chunk_size=250,
        created_at=0,
        layout=layout,
    )


def test_a_name_has_the_index_and_what_is_present() -> None:
    assert member_name(job(3), 1, Item("L1", "S1", "271231")) == "00001_L1_S1.png"
    assert member_name(job(3), 2, Item(None, "S1")) == "00002_S1.png"
    assert member_name(job(3), 3, Item()) == "00003.png"


def test_the_index_is_as_wide_as_the_count_needs() -> None:
    assert member_name(job(100_000), 7, Item()) == "000007.png"


def test_all_symbols_of_a_job_may_be_in_one_file() -> None:
    layout = Layout(pages="single")
    names = {member_name(job(3, layout), index, Item("L1", f"S{index}")) for index in (1, 2, 3)}
    assert names == {"symbols.pdf"}


@given(st.lists(st.builds(Item, st.none() | printable, st.none() | printable), max_size=30))
def test_names_are_plain_and_unique_ignoring_case(items: list[Item]) -> None:
    names = [member_name(job(30), index, item) for index, item in enumerate(items, 1)]
    assert len({name.lower() for name in names}) == len(names)
    allowed = set(string.ascii_letters + string.digits + "._-")
    assert all(set(name) <= allowed for name in names)
    assert names == sorted(names)

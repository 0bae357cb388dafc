import msgspec
from msgspec import UNSET

from pipeline.archive.manifest import ManifestRow
from pipeline.model.chunks import ChunkTimes, StagedChunk
from pipeline.model.records import Bundle, BundleTimes, Result


def test_a_result_of_release_0_2_0_is_read_and_written_again_with_what_it_had() -> None:
    written = (
        b'{"version":1,"state":"completed","finished_at":1700000001000,"bundle":{"bytes":1,'
        b'"sha256":"00","expires_at":1700000099,"times":{"begun_at":1700000000500,"read_ms":1.0,'
        b'"zip_ms":2.0,"upload_ms":3.0}},"error":null,"error_code":null}'
    )
    times = BundleTimes(begun_at=1_700_000_000_500, read_ms=1.0, zip_ms=2.0, upload_ms=3.0)
    bundle = Bundle(bytes=1, sha256="00", expires_at=1_700_000_099, times=times)
    result = Result(state="completed", finished_at=1_700_000_001_000, bundle=bundle)
    assert msgspec.json.encode(result) == written.replace(b"3.0}}", b'3.0},"verified":false}')
    assert msgspec.json.decode(written, type=Result) == result


def test_a_staged_chunk_of_release_0_2_0_is_read_and_written_again_with_what_it_had() -> None:
    written = (
        b'{"sha256":"00","bytes":1,"rows_sha256":"01","rows_bytes":2,"times":'
        b'{"begun_at":1700000000000,"read_ms":1.5,"render_ms":2.5,"stage_ms":3.5}}'
    )
    times = ChunkTimes(begun_at=1_700_000_000_000, read_ms=1.5, render_ms=2.5, stage_ms=3.5)
    chunk = StagedChunk(sha256="00", bytes=1, rows_sha256="01", rows_bytes=2, times=times)
    assert msgspec.json.encode(chunk) == written.replace(b"2.5,", b'2.5,"verify_ms":0.0,')
    assert msgspec.json.decode(written, type=StagedChunk) == chunk


def test_a_chunk_took_the_sum_of_its_steps() -> None:
    times = ChunkTimes(begun_at=0, read_ms=1.2, render_ms=20.3, verify_ms=300.4, stage_ms=4000.5)
    assert times.total_ms == 4322


def test_a_manifest_row_of_release_0_2_0_is_unverified() -> None:
    written = (
        b'{"index":1,"file":"00001.png","gtin":"09506000134352","lot":null,"serial":null,'
        b'"expiry":null,"uri":"https://id.gs1.org/01/09506000134352","version":2,'
        b'"error_correction":"M","module_px":3,"sha256":"ab"}'
    )
    row = msgspec.json.decode(written, type=ManifestRow)
    assert not row.verified
    assert row.page is row.staged_page is UNSET
    added = b',"verified":false,"hri":null,"width_px":null,"width_mm":null,"xdim_mm":null}'
    assert msgspec.json.encode(row) == written[:-1] + added

"""The page in a real browser: phone and desk, light and dark."""

import json
import shutil

import pytest

from latentover.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not both on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in [*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(finished_runs, tmp_path_factory):
    return write_report(finished_runs, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")], ids=lambda p: f"{p[0]}-{p[1]}")
def opened(request, browser, page):
    """The report in one size and scheme. Headless windows have a least width, which emulation has not."""
    width, scheme = request.param
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())
    browser.width, browser.scheme = width, scheme
    return browser


def unfold(browser):
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")


@pytest.mark.parametrize("unfolded", [False, True])
def test_no_sideways_scrolling(opened, unfolded):
    if unfolded:
        unfold(opened)
    scroll, client = opened.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert opened.width - 20 <= client <= opened.width, "all but a scroll bar"
    assert scroll <= client


def test_published_numbers_push_no_column_out_of_sight(browser, finished_runs, tmp_path):
    folder = shutil.copytree(finished_runs, tmp_path / "runs")
    scores = {"acsa": 84.79, "macro_f1": 84.3, "gm_a": 91.3, "sd": {"acsa": 0.15}}
    for path in folder.glob("rae/*/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["certificate"]["published"] = {"source": "A paper, Table 1", "test_balanced": scores}
        path.write_text(json.dumps(metrics), encoding="utf-8")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get(write_report(folder).as_uri())
    widths = browser.execute_script(
        "return [...document.querySelectorAll('#comparison .card > .scroll')].map(e => [e.scrollWidth, e.clientWidth])"
    )
    assert len(widths) == 3  # those that are not folded
    assert all(scroll <= client for scroll, client in widths)


@pytest.mark.parametrize("width", [1280, 390])
def test_long_names_and_failures_push_nothing_out_of_sight(browser, finished_runs, tmp_path, width):
    folder, name = shutil.copytree(finished_runs, tmp_path / "runs"), "w" * 10_000
    for path in folder.glob("*/*/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["train_counts"] = {f"{name}{label}": n for label, n in metrics["train_counts"].items()}
        for scores in (metrics, *metrics["splits"].values()):
            scores["classes"] = [f"{name}{label}" for label in scores["classes"]]
        metrics["certificate"].update(dict.fromkeys(("title", "group", "data", "hardware"), name))
        path.write_text(json.dumps(metrics), encoding="utf-8")
    path = folder / "gamo" / "seed-0" / "failure.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"title": name, "message": name, "traceback": name}), encoding="utf-8")
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(write_report(folder).as_uri())
    unfold(browser)
    scroll, client = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert scroll <= client
    heights = browser.execute_script("return [...document.querySelectorAll('h1, td, dt')].map(e => e.offsetHeight)")
    assert max(heights) < 600


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_was_tracked_fits_a_phone(browser, finished_runs, tmp_path, scheme):
    folder = shutil.copytree(finished_runs, tmp_path / "runs")
    for number, path in enumerate(sorted(folder.glob("*/*/history.csv"))):
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        names = ["margin", "margin_gap", "margin_fit_root", "accuracy_few", "class_alignment"]
        names += [f"accuracy_of_{c}" for c in range(10)]
        head = ",".join([head, *(f"validation_{name}" for name in names)])
        values = [[f"{(i + number) / (9 + j):.4f}" for j in range(len(names))] for i in range(8)]
        rows = [",".join([line, *row]) for line, row in zip(lines[-8:], values, strict=True)]
        path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    metrics = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(write_report(folder).as_uri())
    unfold(browser)
    scroll, client = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert scroll <= client
    widths = browser.execute_script(
        "return [...document.querySelectorAll('#margins img')].map(i => i.getBoundingClientRect().width)"
    )
    assert len(widths) == 2 + 3  # gap, curves, and the classes of three methods
    assert all(250 < width <= 390 for width in widths)


def test_sections_are_filled(opened):
    unfold(opened)
    sections = opened.execute_script(
        "return [...document.querySelectorAll('section')].map(s => "
        "[s.id, s.getBoundingClientRect().width, s.getBoundingClientRect().height, s.innerText.trim().length])"
    )
    assert len(sections) == 9
    for name, width, height, letters in sections:
        assert width > 300, name
        assert height > 60, name
        assert letters > 20, name


def test_images_are_loaded_for_the_scheme(opened):
    unfold(opened)
    images = opened.execute_async_script(
        "const done = arguments[0], all = [...document.images];"
        "Promise.all(all.map(i => i.decode().catch(() => 0))).then(() => done(all.map(i => "
        "[i.naturalWidth, i.getBoundingClientRect().width, i.currentSrc === i.src, !!i.closest('picture')])))"
    )
    assert len(images) >= 9
    for natural, shown, is_light, has_two in images:
        assert natural > 0
        assert shown > 100
        assert is_light == (opened.scheme == "light" or not has_two)


def test_nothing_sticks_out_of_its_card(opened):
    """Text and pictures end inside the card; only the scrolling boxes may hold more than they show."""
    unfold(opened)
    outside = opened.execute_script(
        "return [...document.querySelectorAll('.card, .stack > details')].flatMap(card => {"
        "  const box = card.getBoundingClientRect();"
        "  return [...card.querySelectorAll('*')].filter(e => !e.closest('.scroll *, pre *, .hidden, picture source'))"
        "    .filter(e => { const r = e.getBoundingClientRect(); return r.width && (r.right > box.right + 1 "
        "      || r.left < box.left - 1); }).map(e => e.outerHTML.slice(0, 80)); })"
    )
    assert outside == []


def test_text_has_contrast(opened):
    """WCAG AA: 4.5 to 1 for ink and faint text on page and card."""
    colours = opened.execute_script(
        "const s = getComputedStyle(document.documentElement);"
        "return ['ink', 'faint', 'accent', 'page', 'card'].map(n => s.getPropertyValue('--' + n).trim())"
    )
    ink, faint, accent, page, card = map(luminance, colours)
    for text in (ink, faint, accent):
        for ground in (page, card):
            high, low = max(text, ground), min(text, ground)
            assert (high + 0.05) / (low + 0.05) >= 4.5
    assert (page < 0.1) == (opened.scheme == "dark")


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_link_opens_the_certificate(opened):
    opened.execute_script("document.querySelector('a[href=\"#certificate-1\"]').click()")
    shown = opened.execute_script(
        "return new Promise(r => setTimeout(() => "
        "r(document.querySelector('#certificate-1').getBoundingClientRect().height), 100))"
    )
    assert shown > 100


def test_no_requests_and_no_complaints(opened):
    unfold(opened)
    requests = opened.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name[:40] for name in requests if not name.startswith("data:")] == []
    assert [entry["message"] for entry in opened.get_log("browser")] == []

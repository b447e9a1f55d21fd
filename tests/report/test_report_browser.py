"""The page in a real browser: phone and desk, light and dark; by mouse, by keyboard and on paper."""

import base64
import json
import re
import shutil
import time

import pytest

from latentover.displays.theme import DARK, LIGHT
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
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
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


def draw_all(browser):
    """Unfold everything and let all panels come into view."""
    unfold(browser)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    for place in range(0, height + 2000, 800):
        browser.execute_script(f"scrollTo(0, {place})")
        time.sleep(0.03)
    wait_until(browser, "return [...document.querySelectorAll('.plot')].every(p => p.childElementCount)")
    browser.execute_script("scrollTo(0, 0)")


def wait_until(browser, script, seconds=60):
    end = time.monotonic() + seconds
    while not browser.execute_script(script):
        assert time.monotonic() < end, script
        time.sleep(0.05)


@pytest.mark.parametrize("unfolded", [False, True])
def test_no_sideways_scrolling(opened, unfolded):
    if unfolded:
        draw_all(opened)
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
        "return [...document.querySelectorAll('#comparison .card:not(.off) > .scroll')]"
        ".map(e => [e.scrollWidth, e.clientWidth])"
    )
    assert len(widths) == 1  # that of the split that is shown
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
    draw_all(browser)
    scroll, client = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert scroll <= client
    tall = browser.execute_script(
        "return [...document.querySelectorAll('h1, td, dt')].filter(e => e.offsetHeight >= 600)"
        ".map(e => e.outerHTML.slice(0, 300))"
    )
    assert tall == []


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
    draw_all(browser)
    scroll, client = browser.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert scroll <= client
    widths = browser.execute_script(
        "return [...document.querySelectorAll('#margins svg.chart')].map(i => i.getBoundingClientRect().width)"
    )
    assert len(widths) == 1 + 4 + 3  # gap, scores over the training, and the classes of three methods
    assert all(250 < width <= 390 for width in widths)


def test_sections_are_filled(opened):
    unfold(opened)
    sections = opened.execute_script(
        "return [...document.querySelectorAll('section')].map(s => "
        "[s.id, s.getBoundingClientRect().width, s.getBoundingClientRect().height, s.innerText.trim().length])"
    )
    assert len(sections) == 11
    for name, width, height, letters in sections:
        assert width > 300, name
        assert height > 60, name
        assert letters > 20, name


def test_samples_are_large_enough_to_judge(opened):
    images = opened.execute_async_script(
        "const done = arguments[0], all = [...document.images];"
        "Promise.all(all.map(i => i.decode().catch(() => 0))).then(() => done(all.map(i => "
        "[i.naturalWidth, i.getBoundingClientRect().height, i.closest('.panel').textContent.trim()])))"
    )
    assert [title for _, _, title in images] == ["Real", "Synthetic", "Nearest real", "Reconstruction"]
    for natural, height, _ in images:
        assert natural > 0
        assert height >= 10 * 38, "ten classes, each image 38 pixels or more"
    edges = opened.execute_script(
        "return ['real', 'made'].map(k => getComputedStyle(document.querySelector(`.panel.${k} img`)).borderTopColor)"
    )
    assert edges[0] != edges[1]


def test_drawings_have_the_colours_of_the_theme(opened):
    draw_all(opened)
    ink, colour = opened.execute_script(
        "const s = document.querySelector('[data-plot=scores] svg');"
        "return [getComputedStyle(s.querySelector('text:not(.faint)')).fill, "
        "getComputedStyle(s.querySelector('.mark')).fill]"
    )
    wanted = DARK if opened.scheme == "dark" else LIGHT
    assert [ink, colour] == [rgb(wanted.ink), rgb(wanted.colours[0])]


def rgb(colour):
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_nothing_sticks_out_of_its_card(opened):
    """Text and pictures end inside the card; only the scrolling boxes may hold more than they show."""
    draw_all(opened)
    outside = opened.execute_script(
        "return [...document.querySelectorAll('.card, .stack > details')].flatMap(card => {"
        "  const box = card.getBoundingClientRect();"
        "  return [...card.querySelectorAll('*')].filter(e => !e.closest('.scroll *, pre *, .hidden, svg *'))"
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
    draw_all(opened)
    sent = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    urls = [one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"]
    own = ("data:", "file:", "chrome", "about:")  # and those of the browser's first, empty page
    assert [url[:60] for url in urls if not url.startswith(own)] == []
    assert [entry["message"] for entry in opened.get_log("browser")] == []


# ---- What the reader does --------------------------------------------------------------------------------------------


@pytest.fixture
def desk(browser, page):
    """The report on a desk, light, just opened."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    media = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get("about:blank")
    browser.get(page.as_uri())
    return browser


def find(browser, selector):
    return browser.find_element("css selector", selector)


def see(browser, kind):
    """Bring a panel into view, where it is drawn as it should be by now."""
    browser.execute_script(f"document.querySelector('[data-plot={kind}]').scrollIntoView({{block: 'center'}})")
    browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50)))"
    )
    return find(browser, f"[data-plot={kind}]")


def pick(browser, selector, words):
    """Choose what a list of choices calls so."""
    options = find(browser, selector).find_elements("css selector", "option")
    next(one for one in options if one.get_attribute("textContent").startswith(words)).click()


def column(browser, selector, number):
    return browser.execute_script(
        f"return [...document.querySelectorAll('{selector} tbody tr')].map(r => r.cells[{number}].innerText.trim())"
    )


TABLE = "[data-scores=test_balanced]"


def test_tables_are_sorted_by_a_click_and_say_so(desk):
    heads = desk.find_elements("css selector", f"{TABLE} thead th")
    for number in (1, 2):
        heads[number].find_element("css selector", "button").click()
        values = [float(re.match(r"[\d.]+", text)[0]) for text in column(desk, TABLE, number)]
        assert values == sorted(values, reverse=True)
        assert heads[number].get_attribute("aria-sort") == "descending"
    assert heads[1].get_attribute("aria-sort") is None
    heads[2].find_element("css selector", "button").click()
    assert heads[2].get_attribute("aria-sort") == "ascending"
    heads[0].find_element("css selector", "button").click()
    names = column(desk, TABLE, 0)
    assert names == sorted(names)


def test_methods_are_filtered_everywhere(desk):
    draw_all(desk)
    box = find(desk, "input[name=filter]")
    assert find(desk, "output[name=shown]").get_attribute("aria-live") == "polite"
    box.send_keys("rae, no res")
    assert find(desk, "output[name=shown]").text == "2 of 3 methods"
    shown = desk.execute_script(
        "return [...document.querySelectorAll('[data-method]')].filter(e => e.offsetParent).map(e => e.dataset.method)"
    )
    titles = [method["title"] for method in desk.execute_script(NUMBERS)[0]["methods"]]
    assert {titles[int(method)] for method in shown} == {"RAE", "No resampling"}
    for kind in ("scores", "time", "recall", "class"):
        words = see(desk, kind).get_attribute("textContent")
        assert "RAE" in words
        assert "Class-balanced" not in words
    box.clear()
    box.send_keys("nothing of this name")
    assert find(desk, "output[name=shown]").text == "0 of 3 methods"
    assert "No method that is shown" in see(desk, "scores").text
    assert desk.get_log("browser") == []


NUMBERS = "return JSON.parse(document.getElementById('numbers').textContent)"


def test_the_split_is_switched(desk):
    draw_all(desk)
    before = see(desk, "scores").text
    pick(desk, "select[name=split]", "Imbalanced test")
    shown = desk.execute_script(
        "return [...document.querySelectorAll('[data-split]')].filter(e => !e.classList.contains('off'))"
        ".map(e => e.dataset.split)"
    )
    assert set(shown) == {"test_imbalanced"}
    after = see(desk, "scores").text
    assert before != after
    means = column(desk, "[data-scores=test_imbalanced]", 1)
    assert all(re.match(r"[\d.]+", text)[0] in after for text in means)


def test_the_metric_is_switched(desk):
    pick(desk, "select[name=metric]", "ECE")
    assert "ECE, % (lower is better)" in see(desk, "scores").text
    pick(desk, "select[name=metric]", "Macro-F1")
    assert "Macro-F1, %" in see(desk, "scores").text
    values = [float(re.match(r"[\d.]+", text)[0]) for text in column(desk, TABLE, 2)]
    assert values == sorted(values, reverse=True)
    head = find(desk, f"{TABLE} th[data-metric=macro_f1]")
    assert head.get_attribute("aria-sort") == "descending"


def test_a_class_is_seen_closely(desk):
    draw_all(desk)
    see(desk, "class")
    pick(desk, "[data-plot=class] select", "8 (14")
    part = desk.execute_script(NUMBERS)[0]
    place = [method["title"] for method in part["methods"]].index("RAE")
    recall = part["splits"][0]["recall"][place][8]
    says = marks_of(desk, "class")
    assert any(text.startswith(f"RAE: recall {sum(recall) / 2:.3g}") for text in says), says
    assert sum(text.startswith("RAE, seed ") for text in says) == 2
    assert desk.execute_script("return document.activeElement.matches('[data-plot=class] select')")


def marks_of(browser, kind):
    return browser.execute_script(
        f"return [...document.querySelectorAll('[data-plot={kind}] svg.chart')].flatMap(s => s.chart.marks)"
        ".map(m => [].concat(m.words).join(' '))"
    )


def test_a_miss_that_costs_more_is_avoided_more(desk):
    draw_all(desk)
    see(desk, "thresholds")
    slider = "[data-plot=thresholds] input[type=range]"
    found = []
    for level in (0, 100):
        desk.execute_script(
            f"const s = document.querySelector('{slider}'); s.value = {level}; s.dispatchEvent(new Event('input'))"
        )
        cells = column(desk, "[data-plot=thresholds] table", 2)
        found.append(sum(int(text.split()[0]) for text in cells))
    assert found[0] < found[1]
    assert "1,000 false alarms" in find(desk, slider).get_attribute("aria-valuetext")
    pick(desk, "[data-plot=thresholds] label:nth-of-type(2) select", "one threshold")
    assert find(desk, slider).get_attribute("aria-valuetext") == "From a probability of 1.00 on"
    assert desk.execute_script(f"document.querySelector('{slider}').focus(); return document.activeElement.type")


def test_marks_say_their_numbers_to_the_pointer_and_to_the_keyboard(desk):
    draw_all(desk)
    tip = find(desk, "#tip")
    assert tip.get_attribute("role") == "status"
    plot = see(desk, "scores")
    desk.execute_script(
        "const s = document.querySelector('[data-plot=scores] svg');"
        "const m = s.chart.marks[0], b = s.getBoundingClientRect();"
        "s.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: b.left + m.x, clientY: b.top + m.y}))"
    )
    assert re.match(r"RAE, seed \d: [\d.]+%|RAE: mean", tip.text)
    seen = []
    desk.execute_script("arguments[0].focus({preventScroll: true})", plot)
    for _ in range(3):
        plot.send_keys(ARROW_RIGHT)
        seen.append(tip.text)
    assert len(set(seen)) == 3
    assert desk.execute_script("return document.querySelectorAll('.ring').length") == 1
    plot.send_keys(ESCAPE)
    assert not tip.is_displayed()


ARROW_RIGHT, ESCAPE, TAB, ENTER = "\ue014", "\ue00c", "\ue004", "\ue007"


def test_a_row_tells_its_certificates(desk):
    desk.execute_script(f"document.querySelector('{TABLE} tbody a').focus()")
    time.sleep(0.3)  # the page scrolls to it
    words = find(desk, "#tip").text
    assert "Data hash: 5eed0001" in words
    assert "Commit: abc1234" in words


def test_the_keyboard_reaches_everything_and_focus_is_seen(desk):
    seen = []
    body = find(desk, "body")
    body.send_keys(TAB)
    for _ in range(30):
        active = desk.switch_to.active_element
        seen.append(active.get_attribute("name") or active.get_attribute("class") or active.get_attribute("href"))
        style = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
        assert desk.execute_script(style) != ["none", "0px"], seen[-1]
        active.send_keys(TAB)
    for name in ("skip", "theme", "split", "metric", "filter", "plot"):
        assert name in seen, seen
    button = find(desk, f"{TABLE} thead th:nth-child(2) button")
    button.send_keys(ENTER)
    assert find(desk, f"{TABLE} thead th:nth-child(2)").get_attribute("aria-sort") == "descending"


def test_the_theme_is_switched(desk):
    page = "return getComputedStyle(document.body).backgroundColor"
    light = desk.execute_script(page)
    button = find(desk, "#theme")
    button.click()
    assert button.text == "Light"
    assert desk.execute_script(page) != light
    button.click()
    assert desk.execute_script(page) == light


def test_the_contents_stay_in_sight(desk):
    desk.execute_script("document.querySelector('#confusions').scrollIntoView()")
    place = desk.execute_script("return document.querySelector('.contents').getBoundingClientRect().top")
    assert place == 0
    wait_until(desk, "return document.querySelector('.links a[aria-current]')?.textContent === 'Confusions'")


def test_a_method_is_pointed_out(desk):
    draw_all(desk)
    see(desk, "recall").find_element("css selector", ".legend button").click()
    button = find(desk, "[data-plot=recall] .legend button")
    assert button.get_attribute("aria-pressed") == "true"
    dim, all_marks = desk.execute_script(
        "return ['.mark.dim', '.mark'].map(s => document.querySelectorAll(`[data-plot=recall] .chart ${s}`).length)"
    )
    assert 0 < dim < all_marks


def test_on_paper_everything_is_open_and_drawn(desk):
    desk.execute_script(
        "addEventListener('afterprint', () => 0);"
        "addEventListener('beforeprint', () => { window.printed = ["
        "document.querySelectorAll('details:not([open])').length, "
        "[...document.querySelectorAll('.plot')].filter(p => !p.querySelector('svg.chart')).length]; })"
    )
    content = base64.b64decode(desk.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert content.startswith(b"%PDF")
    assert desk.execute_script("return window.printed") == [0, 0]
    assert len(re.findall(rb"/Type\s*/Page\b", content)) > 8
    assert desk.execute_script("return document.querySelectorAll('details:not([open])').length") > 0


def test_without_scripts_all_tables_are_there(desk, page):
    desk.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        desk.get(page.as_uri())
        words = find(desk, "body").text
    finally:
        desk.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    for text in ("Balanced test", "Imbalanced test", "Validation", "Recall of each class, %", "Calibration"):
        assert text in words
    assert "Scripts are off here" in words
    assert "Scores of every seed" not in words, "empty places of drawings are left out"


def test_a_script_in_a_name_does_not_run(browser, finished_runs, tmp_path):
    folder, evil = shutil.copytree(finished_runs, tmp_path / "runs"), "</script><img src=x onerror='window.bad=1'>"
    for path in folder.glob("*/*/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["train_counts"] = {f"{evil}{k}": n for k, n in metrics["train_counts"].items()}
        for scores in (metrics, *metrics["splits"].values()):
            scores["classes"] = [f"{evil}{k}" for k in scores["classes"]]
        metrics["certificate"].update(title=f"{evil} {path.parts[-3]}", group=evil)
        path.write_text(json.dumps(metrics), encoding="utf-8")
    browser.get(write_report(folder, title=evil).as_uri())
    draw_all(browser)
    assert browser.execute_script("return [window.bad || 0, document.querySelectorAll('img[src=x]').length]") == [0, 0]
    assert browser.title.startswith(evil)
    assert browser.get_log("browser") == []


def test_the_policy_stops_other_scripts(desk):
    desk.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.bad = 1'; document.body.append(s);"
        "const b = document.createElement('button'); b.setAttribute('onclick', 'window.bad = 1');"
        "document.body.append(b); b.click()"
    )
    assert desk.execute_script("return window.bad || 0") == 0
    assert any("Content Security Policy" in entry["message"] for entry in desk.get_log("browser"))


def test_several_folders_have_a_state_each(browser, finished_runs, tmp_path):
    other = shutil.copytree(finished_runs, tmp_path / "mnist")
    browser.get(write_report([finished_runs, other], tmp_path / "both.html").as_uri())
    draw_all(browser)
    pick(browser, "[data-part='1'] select[name=split]", "Validation")
    shown = browser.execute_script(
        "return [0, 1].map(p => [...new Set([...document.querySelectorAll(`[data-part='${p}'] [data-split]`)]"
        ".filter(e => !e.classList.contains('off')).map(e => e.dataset.split))])"
    )
    assert shown == [["test_balanced"], ["validation"]]
    assert browser.get_log("browser") == []


def test_five_hundred_runs_are_a_page_of_moderate_size(browser, finished_runs, tmp_path):
    for number in range(100):
        for seed in range(5):
            folder = tmp_path / "runs" / f"m{number:03}" / f"seed-{seed}"
            folder.mkdir(parents=True)
            source = finished_runs / ("rae", "none", "class_balanced_batches")[number % 3] / f"seed-{seed % 2}"
            for file in ("history.csv", "curves.json", "recipe.yaml", "tsne.csv"):
                if (source / file).is_file():
                    shutil.copy(source / file, folder)
            metrics = json.loads((source / "metrics.json").read_text(encoding="utf-8"))
            metrics["certificate"].update(title=f"Method {number}", recipe_sha256=f"{number:064x}", seed=seed)
            (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    page = write_report(tmp_path / "runs")
    assert page.stat().st_size < 6_000_000
    browser.get(page.as_uri())
    assert len(browser.find_elements("css selector", "[data-part='0'] table tbody tr")) >= 100
    assert browser.get_log("browser") == []

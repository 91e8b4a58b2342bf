import { byId, element } from "./element.js";

const EVERY_MS = 1500;

const gigabytes = (bytes) => (bytes / 1e9).toFixed(1);

/** Live load of this machine's devices, read while the page is seen. */
export class Machine {
  #server;
  #place = byId("devices");
  #onFacts;
  #timer = null;

  /** `onFacts` is told each time what `/api/machine` told. */
  constructor(server, onFacts) {
    this.#server = server;
    this.#onFacts = onFacts;
    document.addEventListener("visibilitychange", () => this.watch());
  }

  async watch() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    try {
      this.#show(await this.#server.machine());
    } catch {
      this.#place.replaceChildren(note("The server doesn’t tell now."));
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.watch(), EVERY_MS);
  }

  #show(facts) {
    const { devices, memory } = facts;
    const total = memory?.total;
    const used = memory?.available == null ? null : total - memory.available;
    const rows = devices.filter(({ kind }) => kind !== "package").map(deviceGroup);
    if (total) rows.push(group("Memory", "", meter("In use", used / total, used, total)));
    this.#place.replaceChildren(...rows);
    this.#onFacts(facts);
  }
}

function deviceGroup(device) {
  const { busy_share: busy, memory_used_bytes: used, memory_total_bytes: total } = device;
  const rows = [meter("Busy", busy)];
  if (used != null && total) rows.push(meter("Memory", used / total, used, total));
  else if (used != null) rows.push(fact("Memory", `${gigabytes(used)} GB`));
  if (device.power_w != null) rows.push(fact("Power", `${device.power_w.toFixed(1)} W`));
  const kind = device.kind.toUpperCase();
  return group(kind, device.name === kind ? "" : device.name, ...rows);
}

const group = (title, name, ...rows) =>
  element("div", { className: "device" },
    element("h3", { title: name }, element("b", {}, title), ` ${name}`), ...rows);

/** A bar and its number in words; what no counter tells is said, and never drawn as 0. */
function meter(label, share, used, total) {
  if (share == null || Number.isNaN(share)) return fact(label, "not measured here");
  const percent = Math.round(share * 100);
  const told = total ? `${gigabytes(used)} of ${gigabytes(total)} GB` : `${percent} %`;
  const bar = element("div", {
    className: "meter",
    role: "meter",
    aria: { label, valuemin: 0, valuemax: 100, valuenow: percent, valuetext: told },
  }, element("div"));
  bar.firstChild.style.width = `${percent}%`;
  return element("div", { className: "measure" }, fact(label, told), bar);
}

const fact = (label, value) =>
  element("p", { className: "fact" }, element("span", {}, label), element("span", {}, value));

const note = (text) => element("p", { className: "soft" }, text);

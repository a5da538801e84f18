import { all } from "../api.js";
import { el } from "../dom.js";
import { thisDevice } from "../ring.js";
import { go } from "../session.js";
import { anotherPhone } from "./invitation.js";
import { ringHere } from "./ringhere.js";
import { deviceProof, deviceState } from "./state.js";

const { texts } = self;

export async function devices() {
	const [list, here] = await Promise.all([all("/devices"), thisDevice()]);
	const node = [];
	if (!list.some(({ id }) => id === here?.id)) {
		node.push(el("section", { class: "card" }, el("h2", {}, texts.here), await ringHere((device) => go(`device/${device.id}`))));
	}
	node.push(el("ul", { class: "plain" }, list.map((device) => el("li", {}, el("a", { class: "card", href: `#/device/${device.id}`, id: device.id },
		el("div", { class: "row" }, el("h2", {}, device.name), el("span", { class: "soft" }, device.id === here?.id ? texts.here : texts.transports[device.transport] ?? device.transport)),
		deviceState(device), deviceProof(device))))));
	if (list.length === 0) {
		node.push(el("p", {}, texts.noDevices));
	}
	node.push(anotherPhone());
	return { title: texts.devicesTitle, node, on: ["device"] };
}

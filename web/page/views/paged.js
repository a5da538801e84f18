import { button, el } from "../dom.js";

const { texts } = self;

// paged adds a page {items, next} to a list, as cards, and returns what asks for the next page,
// which turn gets.
export function paged(list, card, first, turn) {
	const more = el("div", { class: "buttons" });
	const show = ({ items, next }) => {
		list.append(...items.map(card));
		more.replaceChildren(...next ? [button(texts.more, async () => show(await turn(next)))] : []);
	};
	show(first);
	return more;
}

// pagedHere does that for items that are here already, so many at a time.
export function pagedHere(list, card, items, count) {
	const page = (from) => ({ items: items.slice(from, from + count), next: from + count < items.length ? from + count : undefined });
	return paged(list, card, page(0), page);
}

import { el } from "../dom.js";
import { rectangle, slotMinutes, slotsOfDay } from "../quiet.js";

const { texts } = self;

// week returns a grid of the week that one paints: a row for each day, a cell for each slot. The
// first cell of a stroke decides whether it paints or erases. changed is called with the slots
// after each change. The method set of the node replaces them.
export function week(slots, changed) {
	const cells = slots.map((_, slot) => el("div", { role: "gridcell", tabindex: "-1", "aria-label": texts.quietSlot(Math.floor(slot / slotsOfDay), (slot % slotsOfDay) * slotMinutes) }));
	const grid = el("div", { class: "week", role: "grid", "aria-label": texts.quietGrid, "aria-multiselectable": "true" }, Array.from({ length: 7 }, (_, day) =>
		el("div", { role: "row" }, el("div", { role: "rowheader", "aria-label": texts.weekday(day) }, texts.weekday(day, "short")), cells.slice(day * slotsOfDay, (day + 1) * slotsOfDay))));
	let reached = 0; // the cell that Tab reaches
	let stroke; // {first, before, value}

	const set = (next) => {
		slots = next;
		cells.forEach((cell, slot) => cell.setAttribute("aria-selected", slots[slot]));
	};
	const reach = (slot) => {
		cells[reached].tabIndex = -1;
		reached = slot;
		cells[slot].tabIndex = 0;
	};
	const begin = (first, value) => { stroke = { first, before: slots, value }; };
	const paint = (slot) => {
		set(rectangle(stroke.before, stroke.first, slot, stroke.value));
		changed(slots);
	};

	paintByPointer(grid, cells, {
		begin: (slot) => {
			begin(slot, !slots[slot]);
			reach(slot);
		},
		paint,
		end: () => cells[reached].focus({ preventScroll: true }),
		cancel: () => {
			set(stroke.before);
			changed(slots);
		},
	});
	grid.addEventListener("keydown", (event) => {
		const to = event.key === " " ? reached : moved(event.key, reached);
		if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) {
			return;
		}
		event.preventDefault();
		if (event.key === " ") {
			begin(reached, !slots[reached]);
			paint(reached);
		} else if (!event.shiftKey) {
			stroke = undefined;
		} else {
			stroke ?? begin(reached, slots[reached]);
			paint(to);
		}
		reach(to);
		cells[to].focus();
	});
	set(slots);
	reach(0);
	return Object.assign(el("div", { class: "painter" }, scale(), grid), { set });
}

// scale shows the hours above the days. The cells have the times in their names.
function scale() {
	return el("div", { class: "scale", "aria-hidden": "true" }, [0, 6, 12, 18].map((hour) => el("span", {}, texts.quietHour(hour))));
}

// moved returns the slot to which a key moves from another, or undefined.
function moved(key, slot) {
	const [day, time] = [Math.floor(slot / slotsOfDay), slot % slotsOfDay];
	switch (key) {
	case "ArrowLeft":
		return Math.max(slot - 1, 0);
	case "ArrowRight":
		return Math.min(slot + 1, 7 * slotsOfDay - 1);
	case "ArrowUp":
		return Math.max(day - 1, 0) * slotsOfDay + time;
	case "ArrowDown":
		return Math.min(day + 1, 6) * slotsOfDay + time;
	case "Home":
		return day * slotsOfDay;
	case "End":
		return day * slotsOfDay + slotsOfDay - 1;
	}
	return undefined;
}

// paintByPointer calls the methods of stroke while a mouse, pen or finger paints. A finger that
// moves up or down scrolls the page (see touch-action in the style sheet): the browser cancels.
function paintByPointer(grid, cells, stroke) {
	let pointer;
	grid.addEventListener("pointerdown", (event) => {
		if (pointer !== undefined || event.button !== 0 || !cells.includes(event.target)) {
			return;
		}
		pointer = event.pointerId;
		grid.setPointerCapture(pointer);
		stroke.begin(slotAt(event, cells));
		if (event.pointerType === "mouse") {
			event.preventDefault(); // it would select text
			stroke.paint(slotAt(event, cells));
		}
	});
	const on = (name, act) => grid.addEventListener(name, (event) => event.pointerId === pointer && act(event));
	on("pointermove", (event) => stroke.paint(slotAt(event, cells)));
	on("pointerup", (event) => {
		pointer = undefined;
		stroke.paint(slotAt(event, cells));
		stroke.end();
	});
	on("pointercancel", () => {
		pointer = undefined;
		stroke.cancel();
	});
}

// slotAt returns the slot below a pointer, or the nearest.
function slotAt({ clientX, clientY }, cells) {
	const [first, last] = [cells[0], cells.at(-1)].map((cell) => cell.getBoundingClientRect());
	const part = (at, from, to, count) => Math.min(Math.max(Math.floor((at - from) / (to - from) * count), 0), count - 1);
	return part(clientY, first.top, last.bottom, 7) * slotsOfDay + part(clientX, first.left, last.right, slotsOfDay);
}

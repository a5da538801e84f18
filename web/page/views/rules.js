import { call } from "../api.js";
import { button, el, field, form, tell } from "../dom.js";
import { actionWords, conditionsOf, isComplete, kinds, megabyte, ruleOf, sentence } from "../rules.js";
import { wishesOf } from "../wishes.js";
import { timeMachine } from "./tried.js";

const { texts } = self;

// rules edits the rules of a mailbox. If notification is the id of one, a rule about its mail is
// added, before the one that decides about it.
export async function rules(id, notification) {
	const [account, { mutes, ...wishes }, item] = await Promise.all([
		call("GET", `/accounts/${encodeURIComponent(id)}`), call("GET", wishesOf(id)), notification && call("GET", `/notifications/${encodeURIComponent(notification)}`),
	]);
	const before = item?.rule && wishes.rules[item.rule - 1];
	const draft = { rules: wishes.rules ?? [], otherwise: wishes.otherwise ?? { ring: "ring" } };
	const unsaved = el("p", { class: "state warn", role: "status", hidden: true }, texts.rulesUnsaved);
	const tried = timeMachine([account], () => {
		list.check();
		return { wishes: draft, isChanged: !unsaved.hidden };
	});
	const changed = () => {
		unsaved.hidden = false;
		tried.stale();
	};
	const list = ruleList(draft, account.folders ?? [], changed);
	const node = [
		el("p", {}, texts.rulesIntro(account.name ?? account.email)),
		item && el("p", { class: "hint" }, before ? texts.ruleBefore(sentence(before)) : texts.ruleLast), list,
		el("div", { class: "buttons" }, button(texts.ruleAdd, () => list.add({ if: { from: [""] }, then: { ring: "silent" } }), { id: "rule-add" })),
		el("section", { class: "card" }, el("h2", {}, texts.rulesOtherwise), action(draft.otherwise, (otherwise) => {
			draft.otherwise = otherwise;
			changed();
		}, texts.otherwise)),
		form(texts.save, async () => {
			list.check();
			Object.assign(wishes, await call("PUT", wishesOf(id), { ...wishes, ...draft }));
			delete wishes.mutes; // the API returns them, and takes none
			unsaved.hidden = true;
			tell(texts.saved);
		}, unsaved),
		tried,
	];
	if (item) {
		list.add(ruleAbout(item), before && draft.rules.indexOf(before));
	}
	return { title: texts.rulesTitle, node: node.filter(Boolean), on: [] };
}

// ruleAbout returns a rule about mails like this one: of its mailing list, or else its sender.
function ruleAbout({ list, sender, from, subject }) {
	const match = list ? { list: [list] } : sender || from ? { from: [sender || from] } : { subject: [subject ?? ""] };
	return { if: match, then: { ring: "silent" } };
}

// ruleList shows the rules of a draft, of which one at a time is edited. folders are those of the
// mailbox; changed is called after each change. The method add adds a rule, at the end unless it is
// said where, and edits it; check throws if a rule is not complete.
function ruleList(draft, folders, changed) {
	const node = el("ol", { class: "rules" });
	let edited; // the index of the rule that is edited
	const show = (focus) => {
		node.replaceChildren(...draft.rules.map((rule, at) => el("li", { class: "card", id: `rule-${at}` }, at === edited ? editor(at) : line(rule, at))));
		if (focus) {
			(node.querySelector(focus) ?? document.getElementById("rule-add"))?.focus();
		}
	};
	const replace = (rules, focus) => {
		draft.rules = rules;
		changed();
		show(focus);
	};
	const line = (rule, at) => {
		const said = sentence(rule);
		const act = (name, text, run, icon, disabled = false) => el("button", { type: "button", id: `rule-${at}-${name}`, class: icon && "icon", title: icon && text, "aria-label": texts.ruleAbout(text, said), disabled, onclick: run }, icon || text);
		const swap = (other, name) => () => {
			const rules = [...draft.rules];
			[rules[at], rules[other]] = [rules[other], rules[at]];
			const last = other === 0 || other === rules.length - 1;
			edited = undefined;
			replace(rules, `#rule-${other}-${last ? (name === "up" ? "down" : "up") : name}`);
		};
		return [el("p", {}, said), el("div", { class: "buttons" },
			act("edit", texts.ruleEdit, () => {
				edited = at;
				show(`#rule-${at} select`);
			}),
			act("up", texts.ruleUp, swap(at - 1, "up"), "↑", at === 0),
			act("down", texts.ruleDown, swap(at + 1, "down"), "↓", at === draft.rules.length - 1),
			act("remove", texts.remove, () => {
				edited = undefined;
				replace(draft.rules.filter((_, other) => other !== at), `#rule-${Math.max(at - 1, 0)}-edit`);
			}, "×"))];
	};
	const editor = (at) => [ruleEditor(draft.rules[at], folders, (rule) => {
		draft.rules[at] = rule;
		changed();
	}), el("div", { class: "buttons" }, button(texts.ruleDone, () => {
		check(at);
		edited = undefined;
		show(`#rule-${at}-edit`);
	}))];
	const check = (only) => draft.rules.forEach((rule, at) => {
		const conditions = conditionsOf(rule);
		if ((only ?? at) === at && !(conditions.length > 0 && conditions.every(isComplete))) {
			edited = at;
			show();
			throw new Error(texts.rulesEmpty);
		}
	});
	show();
	return Object.assign(node, {
		check,
		add: (rule, at = draft.rules.length) => {
			edited = at;
			replace([...draft.rules.slice(0, at), rule, ...draft.rules.slice(at)], `#rule-${at} :is(select, button)`);
		},
	});
}

// ruleEditor edits a rule, below its sentence, and calls changed with each new one.
function ruleEditor(rule, folders, changed) {
	const said = el("p", { "aria-live": "polite" }, sentence(rule));
	const place = el("div");
	let conditions = conditionsOf(rule);
	let { then } = rule;
	const report = () => {
		const now = ruleOf(conditions, then);
		said.textContent = sentence(now);
		changed(now);
	};
	const show = (focus) => {
		place.replaceChildren(...conditions.map((condition, at) => conditionRow(condition, at, folders, (next, redraw) => {
			conditions[at] = next;
			report();
			redraw && show(`[data-at="${at}"] select`);
		}, () => {
			conditions.splice(at, 1);
			report();
			show(`[data-at="${Math.max(at - 1, 0)}"] select`);
		})));
		focus && place.querySelector(focus)?.focus();
	};
	show();
	return [said, el("fieldset", {}, el("legend", {}, texts.ruleCondition), place, button(texts.ruleAddCondition, () => {
		conditions.push({ field: "from", value: "" });
		report();
		show(`[data-at="${conditions.length - 1}"] select`);
	})), action(then, (next) => {
		then = next;
		report();
	})];
}

// conditionRow edits a condition: what it is about, and the value.
function conditionRow(condition, at, folders, changed, remove) {
	const name = texts.ruleConditionAt(at + 1);
	const first = (of) => of === "folder" ? folders[0] : { text: "", choice: true, size: megabyte }[kinds[of]];
	return el("div", { class: "condition", "data-at": at },
		select(name, Object.entries(texts.ruleConditions), condition.field, (of) => changed({ field: of, value: first(of) }, true)),
		valueOf(condition, folders, (value) => changed({ ...condition, value }), `${name}: ${texts.ruleValue}`),
		el("button", { type: "button", "aria-label": `${texts.ruleRemoveCondition}: ${name}`, onclick: remove }, "×"));
}

// valueOf edits the value of a condition.
function valueOf({ field: of, value }, folders, changed, name) {
	if (of === "folder") {
		return select(name, [...new Set([value, ...folders])].map((folder) => [folder, folder]), value, changed);
	}
	switch (kinds[of]) {
	case "choice":
		return select(name, Object.entries(texts.ruleYes), value ? "yes" : "no", (choice) => changed(choice === "yes"));
	case "size":
		return el("input", { "aria-label": name, type: "number", min: 0.1, step: 0.1, value: value / megabyte, inputmode: "decimal",
			oninput: ({ target }) => changed(Math.round(Number(target.value) * megabyte)) });
	}
	return el("input", { "aria-label": name, value, maxlength: 200, autocapitalize: "none", spellcheck: "false", placeholder: texts.ruleHints[of], oninput: ({ target }) => changed(target.value) });
}

function select(name, options, chosen, changed) {
	return el("select", { "aria-label": name, onchange: ({ target }) => changed(target.value) },
		options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
}

// action edits the action of a rule, and calls changed with each change. said makes a sentence of
// it, which is shown above, unless it is absent.
function action({ ring, content } = {}, changed, said) {
	const words = said && el("p", { "aria-live": "polite" });
	const then = field("ring", texts.ruleThen, { options: Object.entries(texts.actions), value: ring || "ring" });
	const most = field("content", texts.ruleMost, { options: [["", texts.ruleMostDevice], ...Object.entries(texts.most)], value: content ?? "" });
	const [volume, level] = [then, most].map((node) => node.querySelector("select"));
	const show = () => {
		most.hidden = volume.value === "not";
		const now = { ring: volume.value, ...volume.value !== "not" && level.value ? { content: level.value } : {} };
		if (words) {
			words.textContent = said(actionWords(now));
		}
		return now;
	};
	show();
	return el("div", { onchange: () => changed(show()) }, words, then, most);
}

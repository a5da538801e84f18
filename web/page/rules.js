// Rules of a mailbox as the API has them, {if, then}, and as a person edits them: a list of
// conditions, {field, value}, of which several may be about the same field. Nothing here knows the
// document.
const { texts } = self;

// kinds says what the value of a condition is, by field: a text, of which one of several must
// match, a choice of yes or no, or a size in bytes.
export const kinds = {
	from: "text", to: "text", subject: "text", folder: "text", list: "text", words: "text",
	bulk: "choice", attachment: "choice", answer: "choice", first: "choice", above: "size", below: "size",
};

// megabyte is in bytes.
export const megabyte = 1_000_000;

// conditionsOf returns the conditions of a rule.
export function conditionsOf(rule) {
	return Object.keys(kinds).flatMap((field) => {
		const value = rule.if[field];
		return value === undefined ? [] : [value].flat().map((one) => ({ field, value: one }));
	});
}

// ruleOf returns the rule with these conditions. Of a choice or a size, the last counts.
export function ruleOf(conditions, then) {
	const match = {};
	for (const { field, value } of conditions) {
		if (kinds[field] === "text") {
			match[field] = [...match[field] ?? [], value.trim()];
		} else {
			match[field] = value;
		}
	}
	return { if: match, then };
}

// isComplete reports whether a condition says something.
export function isComplete({ field, value }) {
	return kinds[field] === "choice" || (kinds[field] === "text" ? value.trim() !== "" : value > 0);
}

// sentence returns a rule as a sentence, with gaps for what its conditions do not say yet.
export function sentence(rule) {
	const said = Object.keys(kinds).filter((field) => rule.if[field] !== undefined).map((field) => {
		const value = rule.if[field];
		switch (kinds[field]) {
		case "text":
			return texts.conditions[field](value.map((text) => text.trim() || texts.ruleGap));
		case "size":
			return texts.conditions[field](value > 0 ? texts.megabytes(value / megabyte) : texts.ruleGap);
		}
		return texts.conditions[field](value);
	});
	return texts.rule(said, actionWords(rule.then));
}

// actionWords describes an action. An absent action is that of mail that no rule matches.
export function actionWords({ ring, content } = {}) {
	return texts.action(ring || "ring", content && texts.most[content]);
}

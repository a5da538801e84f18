const { texts } = self;

// reason returns the sentence for the code and the params of an answer: from texts.reasons, or else
// otherwise, the sentence of the server.
export function reason({ code, params }, otherwise) {
	params ??= {};
	const sentence = sentenceOf(code, params);
	if (sentence === undefined) {
		return otherwise;
	}
	const of = params.account === undefined ? sentence : texts.reasonOf(params.account, sentence);
	return params.said === undefined ? of : texts.reasonSaid(of, params.said);
}

function sentenceOf(code, params, isCause = false) {
	const translated = (key) => Object.hasOwn(texts.reasons, key) ? texts.reasons[key] : undefined;
	// The case of a reason with a cause may be that of the cause.
	const sentence = translated(`${code}/${params.case}`)
		?? (params.case === undefined || params.cause !== undefined ? translated(code) : undefined);
	if (sentence === undefined) {
		return undefined;
	}
	const cause = isCause ? undefined : sentenceOf(params.cause, params, true);
	if (sentence.includes("{cause}") && cause === undefined) {
		return undefined;
	}
	return sentence.replace(/\{([a-z_]+)\}/g, (_, name) => name === "cause" ? cause : params[name] ?? name);
}

// session holds the user who is logged in, as {id, name, admin}, or undefined. going is true if the
// page itself, and not its user, opens the next view.
export const session = { user: undefined, going: false };

// go opens a view, which keeps the message of the one before.
export function go(path) {
	session.going = true;
	location.hash = `#/${path}`;
}

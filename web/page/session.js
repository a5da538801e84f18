// session holds the user who is logged in, as {id, name, admin}, or undefined.
export const session = { user: undefined };

// go opens a view.
export function go(path) {
	location.hash = `#/${path}`;
}

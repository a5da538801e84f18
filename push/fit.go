package push

import (
	"errors"

	"idlepush/registry"
)

// Fit calls render with m, then with ever smaller versions of it, until the size is at most limit.
// It returns the result with the message used. If render returns ErrTooLarge, Fit tries the next
// smaller message. Any other error ends Fit, which returns it. If even the smallest message is too
// large, Fit returns ErrTooLarge.
func Fit[T any](m Message, limit int, render func(Message) (made T, size int, err error)) (T, Message, error) {
	for {
		made, size, err := render(m)
		if err != nil && !errors.Is(err, ErrTooLarge) || err == nil && size <= limit {
			return made, m, err
		}
		smaller, ok := m.Smaller()
		if !ok {
			return made, m, ErrTooLarge
		}
		m = smaller
	}
}

// SendFitting sends the result of fit. If the service finds it too large, SendFitting sends the
// smallest version of the message, once. fit also returns the message that it has used, as Fit
// does, or the outcome if the message cannot be sent.
func SendFitting[T any](m Message, fit func(Message) (T, Message, *registry.Outcome), send func(T) (o registry.Outcome, tooLarge bool)) registry.Outcome {
	made, m, refusal := fit(m)
	if refusal != nil {
		return NotSent(*refusal)
	}
	o, tooLarge := send(made)
	if !tooLarge {
		return o
	}
	smallest, ok := m.Smallest()
	if !ok {
		return o
	}
	if made, _, refusal = fit(smallest); refusal != nil {
		return *refusal
	}
	o, _ = send(made)
	return o
}

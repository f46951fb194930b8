package policies

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Bounds on rules, so that compiling them takes about a second at most, whoever
// wrote them. The rules beside this file stay far below them.
const (
	maxNesting    = 8          // comprehensions and every in one another
	maxDepth      = 64         // terms in one another
	maxSyntax     = 2_000      // rules of a bundle, each else among them
	maxTerms      = 100_000    // terms of a bundle
	maxWork       = 10_000_000 // of ordering bodies, see work
	maxBracketing = 1_000      // brackets of a module's text in one another
	maxNumber     = 20         // characters of a number
)

// checkBrackets bounds how deep brackets lie in one another, before a module is
// parsed. It counts those in strings and comments, too.
func checkBrackets(name, src string) error {
	open := 0
	for i := range len(src) {
		switch src[i] {
		case '(', '[', '{':
			if open++; open > maxBracketing {
				return broken("%s: more than %d brackets in one another", name, maxBracketing)
			}
		case ')', ']', '}':
			open = max(open-1, 0)
		}
	}
	return nil
}

// checkSize bounds parsed modules together. Errors name the module in which a
// bound is passed.
func checkSize(modules map[string]*ast.Module) error {
	var s size
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		ast.NewBeforeAfterVisitor(s.enter, s.leave).Walk(modules[name])
		switch {
		case s.passed != "":
			return broken("%s: %s", name, s.passed)
		case s.rules > maxSyntax:
			return broken("%s: more than %d rules in all", name, maxSyntax)
		case s.terms > maxTerms:
			return broken("%s: more than %d terms in all", name, maxTerms)
		case s.work > maxWork:
			return broken("%s: bodies that are too long or too deep in one another", name)
		}
	}
	return nil
}

// size counts what compiling takes time for.
type size struct {
	rules, terms, work int
	nesting, depth     int
	passed             string // what no sum shows
}

// enter counts a node of the syntax tree; it reports whether to leave out what is
// below it.
func (s *size) enter(x any) bool {
	switch x := x.(type) {
	case *ast.Rule:
		s.rules++
	case *ast.Term:
		s.terms++
		if s.depth++; s.depth > maxDepth {
			s.passed = "terms too deep in one another"
		}
	case ast.Body:
		s.work += work(len(x), s.nesting)
	}
	if nests(x) {
		if s.nesting++; s.nesting > maxNesting {
			s.passed = "comprehensions too deep in one another"
		}
	}
	return s.passed != ""
}

func (s *size) leave(x any) {
	if _, ok := x.(*ast.Term); ok {
		s.depth--
	}
	if nests(x) {
		s.nesting--
	}
}

func nests(x any) bool {
	switch x.(type) {
	case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every:
		return true
	}
	return false
}

// work is what the compiler does for a body, in tenths of a microsecond: to find
// an order for its expressions takes the cube of their number in the worst case,
// and between two and three times as long for each comprehension around it.
func work(expressions, nesting int) int {
	n := min(expressions, 1000)
	w := n*n*n + 40
	for range nesting {
		w *= 3
	}
	return w
}

// checkGrowth refuses compiled rules whose numbers could become so large that
// reckoning with them takes long: numbers with an exponent, and products and
// quotients of what is not written down. With "with" one builtin could stand for
// another; it is for tests.
func checkGrowth(modules map[string]*ast.Module) error {
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		problem := ""
		ast.WalkTerms(modules[name], func(t *ast.Term) bool {
			if n, ok := t.Value.(ast.Number); ok && (len(n) > maxNumber || strings.ContainsAny(string(n), "eE")) {
				problem = "a number that is too long, or with an exponent"
			}
			return false
		})
		ast.WalkExprs(modules[name], func(e *ast.Expr) bool {
			if len(e.With) > 0 {
				problem = "with is for tests"
			}
			if e.IsCall() && slices.Contains([]string{"mul", "div"}, e.Operator().String()) && !slices.ContainsFunc(e.Operands()[1:2], isNumber) &&
				(e.Operator().String() == "div" || !isNumber(e.Operand(0))) {
				problem = "a product of two variables, or a variable as a divisor"
			}
			return false
		})
		if problem != "" {
			return broken("%s: %s", name, problem)
		}
	}
	return nil
}

func isNumber(t *ast.Term) bool {
	_, ok := t.Value.(ast.Number)
	return ok
}

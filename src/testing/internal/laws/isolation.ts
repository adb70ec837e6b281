/**
 * Law 10: what one connection has learned is never seen by another.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Excerpt from "../../../Excerpt.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import { type Behind, otherRole, type Plan, type Role, type Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import { alternativesOf, candidatesOf, isLetIn, nothing, nth, replaced, saidAgain, stopsOf } from "./cases.ts"
import { bytesOf, negotiatedBy } from "./options.ts"

/** Who was not let in when nobody was there yet is not let in when somebody was. */
export const strangers: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, trial } = attempt
    if (!trial.isVirtual) return
    // What is said is made afresh: with another bit it may be right once and wrong the next time.
    const mayBeSaid = ({ said }: Talk, index: number) =>
      options.accepts?.({
        side: trial.side.role,
        index,
        said: said[index],
        due: Trial.otherBit(said[index]),
        messages: said.with(index, Trial.otherBit(said[index]))
      }) === true
    yield* attempt.first([...(yield* trial.strangers).entries()], ([index, wasReady]) =>
      wasReady ?
        Effect.void :
        Effect.flatMap(trial.talk(Trial.stranger(index)), (talk) =>
          Trial.isReady(talk) && !mayBeSaid(talk, index)
            ? Effect.fail(problem(attempt, talk, {
              scenario: `${nth(index)} comes with another bit in its middle, when somebody else was let in before`,
              expected: "it fails, as it did before anybody was let in; or `reset` says what it has to forget",
              actual: "it became ready: it remembers who came before"
            }))
            : Effect.void))
  })

/** On how many other connections something is said again that was to be fresh. */
const mostReplays = 8

export const isolation: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, reference, trial } = attempt
    const { beyond, messages, needed } = reference
    const marked = (mark: string, more: Plan): Plan => {
      const rest = bytesOf(mark)
      return messages.length === 0
        ? { ...more, script: rest }
        : { ...more, say: (i, message) => i === reference.talk.messages.length - 1 ? concat([message, rest]) : message }
    }
    // A byte at a time, or in so many pieces, and the second conversation wherever the first one is when it begins.
    const piece = Math.max(1, Math.ceil(needed / 48))
    const pace = trial.isVirtual ? { millis: 1 } : undefined
    yield* attempt.each(stopsOf(reference, needed, 24), (delay) =>
      Effect.flatMap(
        trial.talks([
          marked("first", { lengths: [piece], pace }),
          marked("second", { lengths: [piece], pace, delay: Math.floor(delay / piece), seed: 1, random: 1 })
        ]),
        (talks) =>
          Effect.forEach(talks.map((talk, i) => [talk, ["first", "second"][i]] as const), ([talk, mark]) => {
            const expected = messages.length === 0 ? bytesOf(mark) : concat([beyond, bytesOf(mark)])
            return talk.rest !== undefined && Trial.firstDifference(talk.rest, expected) === -1
              ? Effect.void
              : Effect.fail(problem(attempt, talk, {
                scenario: `two conversations go on at once, in turns; the second begins when ${delay} bytes ` +
                  "of the first have come",
                expected: `the ${mark} one becomes ready and receives ${Trial.show(expected)} behind it`,
                actual: talk.rest === undefined ? Trial.outcome(talk) : `it received ${Trial.show(talk.rest)}`
              }))
          })
      ))
    if (options.fresh?.[trial.side.role] === true && messages.length > 0) {
      // More than one: what is made in turns, or for a moment, is fresh for one other connection only.
      const recorded = concat((yield* trial.talk({})).messages)
      for (let again = 1; again <= mostReplays; again++) {
        const replayed = yield* trial.talk({ script: recorded, random: again })
        if (!Trial.isReady(replayed)) continue
        return yield* Effect.fail(saidAgain(attempt, replayed))
      }
    }
    // Those that are refused come when another one is ready, all at once, and start when that is done, while it is still open.
    const refused = candidatesOf(trial, reference, options)
    yield* attempt.together(refused, (refused) =>
      Effect.gen(function*() {
        const delay = trial.isVirtual ? 500 : 20
        const bad = refused.map(({ index, said }): Plan => ({ ...replaced(index, said), delay }))
        const ready: Plan = { later: { after: trial.isVirtual ? 1000 : 50, say: nothing } }
        const [, ...talks] = yield* trial.talks([ready, ...bad])
        const i = talks.findIndex((talk, i) => {
          const { index, said } = refused[i]
          return Trial.isReady(talk) &&
            !isLetIn(options, talk, { side: trial.side.role, index, said, due: messages[index], messages })
        })
        if (i === -1) return
        const { index, said, what } = refused[i]
        const alone = yield* trial.talk(replaced(index, said))
        return yield* Effect.fail(problem(attempt, talks[i], {
          scenario: `while another conversation is ready, ${what} comes in the place of ${nth(index)}`,
          expected: "it fails: what the other one has proved is not its own",
          actual: Trial.isReady(alone)
            ? "it became ready, as it does alone: either anybody gets in with that (law 5), or it remembers who came before"
            : "it became ready: it has used what the other connection had learned"
        }))
      }))
    // Each pair agrees on its own, whoever comes at once.
    if (options[otherRole(trial.side.role)] !== undefined) {
      const { role } = trial.side
      const learns = (role: Role): Behind => (transport) => negotiatedBy(options, role, transport)
      const base = { name: "the same", plan: {}, value: options.negotiated?.value }
      const alternatives = alternativesOf(trial, options)
      const couples = [
        [base, base] as const,
        ...alternatives.flatMap((other) => [[base, other] as const, [other, base] as const])
      ]
      // The second one comes when so much of the first one was said, and when that is ready.
      // Where there are many couples they share the moments in between: each begins at its own third of them.
      const delays = alternatives.length === 0 ? [] : stopsOf(reference, needed, 8)
      const cases = couples.flatMap((couple, nth) =>
        [0, ...delays.filter((_, i) => couples.length <= 3 || i % 3 === nth % 3)].map((delay) => ({ couple, delay }))
      )
      yield* attempt.each(
        options.negotiated === undefined && alternatives.length === 0 ? [] : cases,
        ({ couple, delay }) =>
          Effect.flatMap(
            trial.talks(couple.map(({ plan }, i): Plan => ({
              ...plan,
              lengths: [piece],
              pace,
              delay: i * (1 + Math.floor(delay / piece)),
              random: i,
              // Both sides look at what they have only when all are ready.
              behind: (transport) =>
                Effect.andThen(Effect.sleep(trial.isVirtual ? 5000 : 200), learns(role)(transport)),
              peerBehind: (transport) =>
                Effect.andThen(Effect.sleep(trial.isVirtual ? 4000 : 100), learns(otherRole(role))(transport))
            }))),
            (talks) =>
              Effect.forEach(talks, (talk, i) => {
                const { behind, peerBehind } = talk
                const [own, others] = [behind, peerBehind].map((exit) =>
                  exit !== undefined && Exit.isSuccess(exit) ? exit.value : exit
                )
                const isReady = Trial.isReady(talk)
                const due = couple[i]?.value
                const agree = isReady && Equal.equals(own, others)
                if (agree && (due === undefined || Equal.equals(own, due))) return Effect.void
                const which = i === 0 ? "first" : "second"
                const names = couple.map(({ name }) => Excerpt.ofText(name)).join(" and ")
                return Effect.fail(problem(attempt, talk, {
                  scenario: `two clients come at once${
                    couple[0] === couple[1] ? "" : `, ${names}`
                  }, and when both are ready each side looks at what was negotiated`,
                  expected: agree
                    ? `both have ${Excerpt.ofFrame(due)} in the ${which} one, as its \`value\` says`
                    : "each client has what the server has for it",
                  actual: isReady
                    ? `in the ${which} conversation the ${role} has ${Excerpt.ofFrame(own)}, its peer has ${
                      Excerpt.ofFrame(others)
                    }`
                    : Trial.outcome(talk)
                }))
              }, { discard: true })
          )
      )
    }
    // A conversation that breaks off in a message leaves nothing behind for the next one.
    if (needed > 1) {
      yield* attempt.each(stopsOf(reference, needed - 1, 24), (after) =>
        Effect.gen(function*() {
          yield* trial.talk({ stop: { after, how: "end" } })
          const next = yield* trial.talk({})
          if (Trial.isReady(next)) return
          return yield* Effect.fail(problem(attempt, next, {
            scenario: `the conversation before has ended after byte ${after} of ${needed}`,
            expected: "the next one becomes ready",
            actual: Trial.outcome(next)
          }))
        }))
    }
  })

/**
 * The laws of dialogues can fail: with nothing told but the dialogue and its sides, each broken side is caught, by a message that
 * names the state. And those that are right are clean.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Certificates from "../support/certificates/index.ts"
import * as Law from "../support/laws.ts"
import { pretending, working } from "../support/working.ts"
import * as Desk from "./gallery/desk.ts"
import * as Door from "./gallery/door.ts"
import * as Features from "./gallery/features.ts"
import * as Friends from "./gallery/friends.ts"
import * as Gate from "./gallery/gate.ts"
import * as Login from "./gallery/login.ts"
import * as Offer from "./gallery/offer.ts"
import * as Pass from "./gallery/pass.ts"
import * as Post from "./gallery/post.ts"
import * as Ring from "./gallery/ring.ts"
import * as Room from "./gallery/room.ts"
import * as Vault from "./gallery/vault.ts"
import * as Smtp from "./shapes/smtp.ts"

type Sides = Laws.DialogueOptions<any, any>

const check = (dialogue: Dialogue.Any, sides: Sides, runs = 10) =>
  Laws.check(Laws.dialogue(dialogue, { ...sides, rungs: [Rung.pure], runs, seed: 7 }))

const vault = { server: Vault.server(), client: Vault.client() }
const login = { server: Login.server, client: Login.client }
const room = { server: Room.server(), client: Room.client() }
const gate = { server: Gate.server(), client: Gate.client() }
const door = { server: Door.server(), client: Door.client() }
const pass = { server: Pass.server(), client: Pass.client }
const post = { server: Post.server(), client: Post.client() }
const desk = {
  server: Desk.server(),
  client: Desk.client(),
  alternatives: [{ name: "Bob", client: Desk.client({ card: "bob:0815-33" }) }]
}

/** It works on the first names that it does not know, and finds what it needs in a text. */
const diligent = (millis: number) => {
  let left = 5
  return Gate.server({
    heard: ({ user }) => Effect.suspend(() => user !== "ann" && left-- > 0 ? pretending(millis) : Effect.void),
    isWelcome: ({ agent }) => agent.split(" ").includes("me")
  })
}

const boundless = { server: Door.serverByHand(), client: Door.client(Door.Boundless as never) }

/** What only a specification knows: all of it comes before the laws of handshakes, of which one healthy dialogue is enough. */
const specified = (dialogue: Dialogue.Any, sides: Sides) => {
  const { laws } = Laws.dialogue(dialogue, { ...sides, rungs: [Rung.pure], runs: 10, seed: 7 })
  return Effect.forEach(laws.flatMap(({ parts = [] }) => parts.filter(({ rank }) => rank < 0)), ({ check }) => check, {
    discard: true
  })
}

describe("what is specified holds for", () => {
  const byHand = { server: Login.serverByHand(), client: Login.clientByHand((line) => line === "OK") }
  const healthy: ReadonlyArray<readonly [name: string, dialogue: Dialogue.Any, sides: Sides]> = [
    ["a vault in lines, with a nonce and a loop, whose key was told, and shows nowhere", Vault.Vault, {
      ...vault,
      secrets: [Vault.key]
    }],
    ["a login whose sides are written by hand", Login.Login, byHand],
    ["a list of features, in which its client does not find what it needs", Features.Features, {
      server: Features.server,
      client: Features.client
    }],
    ["a room in JSON", Room.Room, room],
    ["a box at the post", Post.Post, post],
    ["a desk that lends books", Desk.Desk, desk],
    [
      "a gate with a way that its client does not take, which finds what it needs in a text that is free, works on a few wrong names, but not for long, and takes two seconds to end",
      Gate.Gate,
      {
        ...gate,
        server: Effect.andThen(
          Effect.addFinalizer(() => Effect.sleep(2000)),
          diligent(40)
        )
      }
    ],
    ["a door whose server is written by hand", Door.Boundless, boundless],
    ["a pass whose server names who is not let in, in time", Pass.Pass, {
      ...pass,
      server: Pass.server({ thinks: 4900 })
    }],
    ["a pass whose server says in its own words what its refusal is", Pass.Pass, {
      ...pass,
      server: Pass.server({ reason: new HandshakeError.Rejected({ by: "local", said: "NO", retryable: true }) })
    }],
    ["a ring whose state of the server is bound more narrowly", Ring.Ring, {
      server: Ring.server(),
      client: Ring.client()
    }],
    ["a ring whose server says in its own words that it is tired", Ring.Ring, {
      server: Ring.server(1),
      client: Ring.client()
    }],
    ["a ring whose server has nothing left to say but no", Ring.Narrow, {
      server: Ring.server(100, Ring.Narrow),
      client: Ring.client(Ring.Narrow)
    }],
    ["friends who say their secrets at once", Friends.Friends, {
      server: Friends.Friends.server(Friends.talk),
      client: Friends.Friends.client(Friends.talk)
    }],
    ["a server with nobody but the specification beside it", Vault.Vault, { server: vault.server }],
    ["a client with nobody but the specification beside it", Vault.Vault, { client: vault.client }]
  ]
  for (const [name, dialogue, sides] of healthy) Law.it(name, () => Effect.runPromise(specified(dialogue, sides)))
})

describe("Laws.dialogue", () => {
  Law.it(
    "holds for a door in bytes, with nothing left out",
    () => Effect.runPromise(check(Door.Door, { ...door, coverage: "whole" }, 5))
  )

  Law.it("says what was never tried, and fails where that has to be whole", async () => {
    const suite = Laws.dialogue(Room.Room, { ...room, rungs: [Rung.pure], seed: 7, runs: 1, coverage: "whole" })
    const before = await Effect.runPromise(suite.coverage)
    expect(Laws.dialogueHoles(before)).toContain("Full of the server in the state answer was never said")
    expect(Laws.dialogueHoles(before)).toContain("the server never heard Join with another room in the state door")
    expect(Laws.dialogueHoles(before)).toContain("the server never heard Full, which is not due, in the state door")
    expect(Laws.formatDialogueCoverage(before)).toMatch(/^said +times\ndoor: client Join +·$/m)
    const part = suite.laws[11].parts!.find(({ rank }) => rank === Infinity)!
    const violation = await Effect.runPromise(Effect.flip(part.check))
    expect(violation.message).toMatch(/law 12.*[^]*Full of the server in the state answer was never said/)
  })

  Law.it("takes alternatives where a state has a deadline that is short", async () => {
    class Short extends Dialogue.make<Short>()({
      name: "short",
      messages: { Hello: { name: Dialogue.free(Schema.String) }, Ok: {} },
      live: Codec.lines(),
      start: "greeting",
      states: {
        greeting: Dialogue.client({ Hello: "answer" }, { within: "5 seconds", maxBytes: 64 }),
        answer: Dialogue.server({ Ok: Dialogue.ready })
      }
    }) {}
    const server = Short.server((greeting) => Effect.flatMap(greeting.receive, ({ then }) => then.say("Ok")))
    const client = (name: string) =>
      Short.client((greeting) =>
        Effect.flatMap(greeting.say("Hello", { name }), (answer) => Effect.map(answer.receive, ({ then }) => then))
      )
    const sides = { server, client: client("a"), alternatives: [{ client: client("b") }] }
    await Effect.runPromise(Laws.check(Laws.dialogue(Short, { ...sides, rungs: [Rung.pure], runs: 1, seed: 7 })))
  })

  it("registers a test for each law", () => {
    const names: Array<string> = []
    Laws.dialogue(Room.Room, { ...room, it: (name) => names.push(name) })
    expect(names).toHaveLength(12)
    expect(names[4]).toMatch(/^room, law 5, wrong turn/)
  })

  it("wants a side", () => {
    expect(() => Laws.dialogue(Room.Room, {})).toThrow("give a server, a client, or both")
  })

  it("wants alternatives as a list of sides, and options by their names", () => {
    const given = (options: object) => () => Laws.dialogue(Room.Room, { ...room, ...options })
    expect(given({ alternatives: { client: [room.client] } })).toThrow(
      "`alternatives` of Laws.dialogue is a list of sides that are let in as well, such as [{ client }]"
    )
    expect(given({ alternatives: [room.client] })).toThrow("one of them is no object with sides")
    expect(given({ alternatives: [{ clients: room.client }] })).toThrow(
      "one of `alternatives` of Laws.dialogue has \"clients\", and knows client, name, server, value"
    )
    expect(given({ accepts: () => true })).toThrow(
      "the options of Laws.dialogue has \"accepts\", and knows alternatives"
    )
    given({ alternatives: [{ client: room.client }] })()
  })
})

let known: string | undefined
let guest: string | undefined

/** What is wrong with it, the dialogue, its sides, and what the violation says. */
const broken: ReadonlyArray<readonly [name: string, dialogue: Dialogue.Any, sides: Sides, says: RegExp]> = [
  [
    "takes any version",
    Vault.Vault,
    { ...vault, server: Vault.server({ isVersion: () => true }) },
    /version in Hello in the state greeting/
  ],
  ["takes versions from 2 on", Vault.Vault, {
    ...vault,
    server: Vault.server({ isVersion: (version) => version >= 2 })
  }, /version in Hello in the state greeting/],
  [
    "takes the proof of anybody",
    Vault.Vault,
    { ...vault, server: Vault.server({ isUser: () => true }) },
    /user in Proof in the state proof/
  ],
  [
    "takes any proof",
    Vault.Vault,
    { ...vault, server: Vault.server({ isProof: () => true }) },
    /proof in Proof in the state proof/
  ],
  ["looks at the beginning of a proof only", Vault.Vault, {
    ...vault,
    server: Vault.server({ isProof: (proof, due) => proof.startsWith(due) })
  }, /proof in Proof in the state proof/],
  ["takes a proof that is cut", Vault.Vault, {
    ...vault,
    server: Vault.server({ isProof: (proof, due) => due.startsWith(proof) })
  }, /proof in Proof in the state proof/],
  [
    "has one nonce for all",
    Vault.Vault,
    { ...vault, server: Vault.server({ nonce: () => "n1" }) },
    /nonce in Nonce in the state challenge is made anew/
  ],
  ["shows a wrong proof in its error", Vault.Vault, {
    ...vault,
    server: Vault.server({ detail: (proof) => `${proof} is wrong` })
  }, /law 9.*\(server, pure\)[^]*the error's text/],
  ["shows a proof in its log", Vault.Vault, {
    ...vault,
    server: Vault.server({ heard: (proof) => Effect.logDebug(proof) })
  }, /law 9.*[^]*a log/],
  ["shows a proof in a span", Vault.Vault, {
    ...vault,
    server: Vault.server({ heard: (proof) => Effect.withSpan(Effect.void, "proof", { attributes: { proof } }) })
  }, /law 9.*[^]*a span/],
  ["shows a key that is never said, of which it was told", Vault.Vault, {
    ...vault,
    server: Vault.server({ heard: () => Effect.logDebug(`by ${Vault.key}`) }),
    secrets: [Vault.key]
  }, /law 9.*[^]*a log/],
  ["dies of a user that it does not know", Vault.Vault, {
    ...vault,
    server: Vault.server({
      found: (user) => user === "ann" ? Effect.succeed(user) : Effect.die(new Error("no such row"))
    })
  }, /"WELCOME \{motto\}" or "NO \{why\}" is due from the server in the state verdict/],
  ["remembers who came before", Vault.Vault, {
    ...vault,
    server: Vault.server({
      found: (user) =>
        Effect.sync(() => known ??= user === "ann" ? user : known).pipe(Effect.map((user) => user ?? "nobody"))
    })
  }, /user in Proof in the state proof/],
  ["keeps the user of another connection while it looks him up", Vault.Vault, {
    ...vault,
    server: Vault.server({
      found: (user) =>
        Effect.suspend(() => {
          guest = user
          return Effect.as(Effect.sleep("20 millis"), undefined)
        }).pipe(Effect.map(() => guest ?? user))
    })
  }, /law 10.*[^]*Proof in the state proof/],
  ["waits for a second too long", Vault.Vault, {
    ...vault,
    server: Vault.server({}, Vault.specified({ within: "6 seconds" }) as never)
  }, /at the state greeting as Timeout, after 5000 ms/],
  ["waits for a second too short", Vault.Vault, {
    ...vault,
    server: Vault.server({}, Vault.specified({ within: "4 seconds" }) as never)
  }, /law 6.*[^]*Hello in the state greeting/],
  ["takes a byte more than the limit", Vault.Vault, {
    ...vault,
    server: Vault.server({}, Vault.specified({ maxBytes: 65 }) as never)
  }, /too long|65 bytes[^]*state greeting/],
  ["takes a byte less than the limit", Vault.Vault, {
    ...vault,
    server: Vault.server({}, Vault.specified({ maxBytes: 63 }) as never)
  }, /within the limits of the state/],
  ["goes round once more than it may", Vault.Vault, {
    ...vault,
    server: Vault.server({}, Vault.specified({ atMost: 5 }) as never)
  }, /law 4.*[^]*the state proof is come to 5 times/],
  ["goes round once less than it may", Vault.Vault, {
    ...vault,
    server: Vault.server({}, Vault.specified({ atMost: 3 }) as never)
  }, /law 4.*[^]*the state proof is come to 4 times/],
  ["says other last words", Vault.Vault, {
    ...vault,
    server: Vault.server({}, Vault.specified({ why: "go away" }) as never)
  }, /as said otherwise, in the state greeting/],
  ["takes a refusal for one that is worth another try", Vault.Vault, {
    ...vault,
    client: Vault.client(Vault.specified({ retryable: true }) as never)
  }, /Denied in the state verdict is not worth another try/],

  ["says nothing to whoever breaks the rules", Login.Login, {
    ...login,
    server: Login.serverByHand({ pardon: undefined })
  }, /law 11.*[^]*as said otherwise, in the state user/],
  [
    "takes any greeting",
    Login.Login,
    { ...login, server: Login.serverByHand({ user: /^\w+ ?(.*)$/ }) },
    /state user/
  ],
  ["takes what only looks like a greeting", Login.Login, {
    ...login,
    server: Login.serverByHand({ user: /USER (.+)$/ })
  }, /state user/],
  [
    "takes a greeting without a name",
    Login.Login,
    { ...login, server: Login.serverByHand({ user: /^USER (.*)$/ }) },
    /in the state user/
  ],
  [
    "forgets to refuse",
    Login.Login,
    { ...login, server: Login.serverByHand({ no: undefined }) },
    /law 11.*[^]*the peer hears why: No or .* in the state verdict/
  ],
  [
    "refuses with what it should say otherwise",
    Login.Login,
    { ...login, server: Login.serverByHand({ no: "NEVER" }) },
    /"OK" or "NO" is due from the server in the state verdict/
  ],
  [
    "says no, and is ready all the same",
    Login.Login,
    { ...login, server: Login.serverByHand({ isReadyAnyway: true }) },
    /who has said No in the state verdict fails/
  ],
  [
    "says something that nobody understands",
    Login.Login,
    { ...login, server: Login.serverByHand({ ok: "OKAY" }) },
    /"OK" or "NO" is due from the server in the state verdict/
  ],
  [
    "says who is there before it is asked",
    Login.Login,
    { ...login, server: Login.serverByHand({ early: "OK" }) },
    /law (2|5|11|12)/
  ],
  ["looks at the name only", Login.Login, {
    ...login,
    server: Login.serverByHand({ isRight: (name) => name === "ann" })
  }, /password in Password in the state password/],
  ["looks at the password only", Login.Login, {
    ...login,
    server: Login.serverByHand({ isRight: (_, password) => password === "sesame open" })
  }, /name in User in the state user/],
  [
    "takes any answer for a yes",
    Login.Login,
    { ...login, client: Login.clientByHand(() => true) },
    /state verdict/
  ],
  ["takes what begins as a yes for one", Login.Login, {
    ...login,
    client: Login.clientByHand((line) => /^(OK|WHAT)/.test(line))
  }, /in the state verdict/],
  [
    "takes a refusal for nonsense",
    Login.Login,
    { ...login, client: Login.clientByHand((line) => line === "OK", []) },
    /No in the state verdict is a refusal, and whoever hears it fails as Rejected/
  ],

  ["does not look at a part of a ticket", Room.Room, {
    ...room,
    server: Room.server({
      isLetIn: ({ room, ticket, token }) => room === "red" && ticket.code === "c7" && String(token) !== ""
    })
  }, /(ticket|token) in Join in the state door/],
  ["compares loosely", Room.Room, {
    ...room,
    server: Room.server({ isLetIn: ({ room, ticket }) => room === "red" && ticket.seat === 7 && ticket.code === "c7" })
  }, /token in Join in the state door/],
  ["lets into another room", Room.Room, {
    ...room,
    server: Room.server({ isLetIn: ({ ticket }) => ticket.seat === 7 })
  }, /(room|ticket|token) in Join in the state door/],
  [
    "forgets to refuse where nothing is said otherwise",
    Room.Room,
    { ...room, server: Room.server({ forgets: true }) },
    /law 11.*[^]*Full or Thrown in the state answer/
  ],
  [
    "does not look where it has come to",
    Room.Room,
    { ...room, client: Room.client(false) },
    /room in Joined in the state answer/
  ],

  [
    "takes any floor",
    Door.Door,
    { ...door, server: Door.server({ isFloor: () => true }) },
    /floor in Open in the state open/
  ],
  ["looks at one byte of a floor", Door.Door, {
    ...door,
    server: Door.server({ isFloor: (floor) => (floor & 0xff) === 3 })
  }, /floor in Open in the state open/],
  ["looks at the first half of a PIN", Door.Door, {
    ...door,
    server: Door.server({ isPin: (pin) => pin[0] === 0x31 && pin[1] === 0x34 && pin[2] === 0x31 })
  }, /pin in Open in the state open/],
  ["adds up the digits of a PIN", Door.Door, {
    ...door,
    server: Door.server({ isPin: (pin) => pin.reduce((sum, digit) => sum + digit, 0) === 310 })
  }, /pin in Open in the state open/],
  [
    "does not look at what is reserved",
    Door.Boundless,
    { ...boundless, server: Door.serverByHand({ looksAtFlags: false }) },
    /law 5.*[^]*Open in the state open/
  ],
  ["takes a message that is too long in bytes", Door.Door, {
    ...door,
    server: Door.server({}, Door.specified(25) as never)
  }, /state open/],

  [
    "goes on behind a refusal, which is no mistake of the server",
    Offer.Offer,
    { server: Offer.server, client: Offer.gullible },
    /\(client, pure\)[^]*in the state answer/
  ],

  ["does not look at the first part of a login", Post.Post, {
    ...post,
    server: Post.server({ isRight: (login) => /^[^\0]*\0Ann\0Hunter22$/.test(login) })
  }, /login is another one \(.*\), as its type allows[^]*another login in Login in the state login/],
  [
    "says yes before it looks",
    Post.Post,
    { ...post, server: Post.server({ isEarly: true }) },
    /law 11.*[^]*the peer hears why: No in the state verdict[^]*it said Yes, and it failed at step box/
  ],
  [
    "says yes before it looks, and no where nothing more is said",
    Post.Post,
    { ...post, server: Post.server({ isLate: true }) },
    /law 11.*[^]*the peer hears why: No in the state verdict[^]*it said Yes, and it failed at step letter/
  ],
  [
    "says yes to a wrong secret, and no where nothing more is wrong",
    Desk.Desk,
    { ...desk, server: Desk.server({ isLate: true }) },
    /law 11.*[^]*the peer hears why: No or Stranger in the state verdict[^]*it said Welcome, and it failed at step answer/
  ],
  [
    "tells who is known by a part of a secret",
    Desk.Desk,
    { ...desk, server: Desk.server({ stranger: "Stranger" }) },
    /law 9.*[^]*the same whether part 1 of card or part 2 of card is wrong[^]*it said \["\w+"\]/
  ],
  [
    "looks in the certificate for what it was told in clear",
    Desk.Desk,
    { ...desk, client: Desk.client({ servername: (host) => host }) },
    /law 5.*\(client, pure\)[^]*it looks for desk.test in the certificate, whatever is said before TLS/
  ],
  [
    "turns down a number of which any will do, in what it hears last",
    Desk.Desk,
    { ...desk, client: Desk.client({ isEnough: (days) => days > 0 }) },
    /law 5.*\(client, pure\)[^]*any days will do in Lent in the state answer/
  ],
  [
    "keeps who is there in one place for all",
    Desk.Desk,
    { ...desk, server: Desk.server({ isForgetful: true }) },
    /law 10.*\(server, pure\)[^]*two conversations go on at once[^]*it said Lent, days "?\d+.*and alone Lent, days/
  ],
  [
    "turns down all numbers but one of which any will do",
    Desk.Desk,
    { ...desk, client: Desk.client({ isEnough: (days) => days === 14 }), alternatives: [] },
    /law 5.*\(client, pure\)[^]*any days will do in Lent in the state answer/
  ],
  [
    "takes its own refusal for one that is worth no other try",
    Pass.Pass,
    {
      ...pass,
      server: Pass.server({
        reason: new HandshakeError.Rejected({ by: "local", said: "NO", retryable: false })
      })
    },
    /law 5.*\(server, pure\)[^]*No in the state verdict is worth another try/
  ],
  [
    "has another code for its own refusal",
    Pass.Pass,
    {
      ...pass,
      server: Pass.server({
        reason: new HandshakeError.Rejected({ by: "local", said: "NO", retryable: true, code: "no" })
      })
    },
    /law 5.*\(server, pure\)[^]*No in the state verdict has the code of none/
  ],
  [
    "takes the fault on itself",
    Post.Post,
    { ...post, server: Post.server({ fault: "local" }) },
    /by the fault of its peer, who has said another login in Login/
  ],
  ["shows a login in the span that is current", Post.Post, {
    ...post,
    server: Post.server({ heard: (login) => Effect.annotateCurrentSpan("login", login) })
  }, /law 9.*[^]*a span/],
  ["shows a part of a wrong login in its error", Post.Post, {
    ...post,
    server: Post.server({ detail: (login) => `no such password: ${login.split("\0")[2]}` })
  }, /law 9.*[^]*another login[^]*the error's text/],
  [
    "says a password in clear where nobody offers TLS",
    Smtp.Mail,
    {
      server: Smtp.server("ann", "Hunter22", { role: "server", certificate: Certificates.server }),
      client: Smtp.client("ann", "Hunter22", { role: "client", servername: "localhost", ca: Certificates.root }, true)
    },
    /law 9.*\(client, pure\)[^]*no secret in clear that it says in TLS[^]*it said Auth in the state open/
  ],
  [
    "says whether it knows somebody",
    Pass.Pass,
    { ...pass, server: Pass.server({ stranger: (user) => `${user} is nobody` }) },
    /law 9.*[^]*it says the same whether (user or password|password or user) is wrong in Login[^]*"\* is nobody"/
  ],
  [
    "says whether it knows somebody, beside fields that are no words",
    Gate.Gate,
    { ...gate, server: Gate.server({ stranger: "Unknown" }) },
    /law 9.*[^]*it says the same whether (user or password|password or user) is wrong in Login/
  ],
  ...([
    ["at a full stop behind it", (user: string) => user.replace(/\.$/, "")],
    ["at a slash", (user: string) => user.split("/")[0]],
    ["at a colon", (user: string) => user.split(":")[0]],
    ["at a percent sign", (user: string) => user.split("%")[0]]
  ] as const).map(([where, name]) =>
    [
      `cuts a name ${where}`,
      Vault.Vault,
      { ...vault, server: Vault.server({ isUser: (user) => name(user) === "ann" }) },
      /law 5.*[^]*another user in Proof/
    ] as const
  ),
  [
    "shows a secret where another field is wrong",
    Gate.Gate,
    { ...gate, server: Gate.server({ offered: (device, { password }) => `${device} with ${password}` }) },
    /law 9.*\(server, pure\)[^]*in its field device[^]*a secret of 8 show in the error's (text|fields)/
  ],
  [
    "logs a secret where another field is wrong",
    Gate.Gate,
    {
      ...gate,
      server: Gate.server({ heard: ({ password, user }) => user === "ann" ? Effect.void : Effect.logInfo(password) })
    },
    /law 9.*\(server, pure\)[^]*in its field user[^]*a secret of 8 show in a log/
  ],
  [
    "says its password to anybody, and looks who that was then",
    Gate.Gate,
    { ...gate, client: Gate.client("behind") },
    /law 9.*\(client, pure\)[^]*no secret to whoever has said another host in Hello[^]*it said Login in the state login/
  ],
  [
    "logs what it is asked, which its client does not ask",
    Gate.Gate,
    { ...gate, server: Gate.server({ asked: (token) => Effect.logInfo(`asked by ${token}`) }) },
    /law 9.*\(server, pure\)[^]*show in a log[^]*asked by \*\*\*/
  ],
  [
    "takes any password of whoever has asked with the right one",
    Gate.Gate,
    { ...gate, server: Gate.careless() },
    /law 5.*[^]*\(by the specification, with Ask in the state login\)[^]*not ready with another password in Login/
  ],
  [
    "has less patience than is written down",
    Gate.Gate,
    { ...gate, server: Gate.server({ patience: 2 }) },
    /law 4.*[^]*the state (login|hint) is come to 5 times[^]*it may be come to 5 times[^]*failed at step hint/
  ],
  [
    "works for as long as it is told",
    Gate.Gate,
    { ...gate, server: Gate.server({ heard: ({ stay }) => pretending(stay / 10) }) },
    /law 8.*[^]*Login in the state login comes, and its field stay is \d+ for 60\n[^]*a turn has taken/
  ],
  [
    "works on each login while everybody else waits",
    Gate.Gate,
    { ...gate, server: Gate.server({ heard: () => working(210) }) },
    /law 8.*[^]*nobody disturbs the conversation[^]*a turn has taken/
  ],
  [
    "works on a wrong password while everybody else waits",
    Gate.Gate,
    {
      ...gate,
      server: Gate.server({
        heard: ({ password, user }) => user === "ann" && password !== "Hunter22" ? pretending(210) : Effect.void
      })
    },
    /law 8.*\(server, pure\)[^]*Login in the state login comes, and[^]*a turn has taken/
  ],
  [
    "works in a time that goes with the square of a name's length",
    Gate.Gate,
    { ...gate, server: Gate.server({ heard: ({ user }) => pretending(user.length ** 2 / 200) }) },
    /law 8.*\(server, pure\)[^]*its field user has \d+ more[^]*a turn has taken/
  ],
  [
    "works in a time that goes with the square of the length of a text of which any will do",
    Gate.Gate,
    { ...gate, server: Gate.server({ heard: ({ agent }) => pretending(agent.length ** 2 / 200) }) },
    /law 8.*\(server, pure\)[^]*bytes long in its field agent[^]*a turn has taken/
  ],
  [
    "looks at whom it hears with a pattern that takes twice as long for each character",
    Gate.Gate,
    { ...gate, client: Gate.client("before", (host) => /^(\w+\.?)+$/.test(host)) },
    /law 8.*\(client, pure\)[^]*its field host has \d+ more[^]*a turn has taken/
  ],
  ...([["never ends", Effect.never], ["takes an hour", Effect.sleep("1 hour")]] as const).flatMap((
    [what, finalizer]
  ) => [
    [
      `has a finalizer that ${what}`,
      Gate.Gate,
      { ...gate, server: Effect.andThen(Effect.addFinalizer(() => finalizer), gate.server) },
      /law 7.*\(server, pure\)[^]*nobody disturbs the conversation[^]*it has (not ended|ended after \d+ ms)/
    ] as const,
    [
      `has a finalizer that ${what}, in its client`,
      Gate.Gate,
      { ...gate, client: Effect.andThen(Effect.addFinalizer(() => finalizer), gate.client) },
      /law 7.*\(client, pure\)[^]*nobody disturbs the conversation[^]*it has (not ended|ended after \d+ ms)/
    ] as const,
    [
      `has a finalizer that ${what} where it has heard a wrong password`,
      Gate.Gate,
      {
        ...gate,
        server: Gate.server({
          heard: ({ password }) => password === "Hunter22" ? Effect.void : Effect.addFinalizer(() => finalizer)
        })
      },
      /law 7.*\(server, pure\)[^]*its field password[^]*it has (not ended|ended after \d+ ms)/
    ] as const
  ]),
  [
    "turns down a number of which any will do",
    Gate.Gate,
    { ...gate, server: Gate.server({ isWelcome: ({ stay }) => stay < 3600 }) },
    /law 5.*[^]*its field stay is "?3600[^]*any stay will do in Login in the state login/
  ],
  [
    "turns down a text of which any will do, because it is long",
    Gate.Gate,
    { ...gate, server: Gate.server({ isWelcome: ({ agent }) => agent.length < 100 }) },
    /law 5.*[^]*any agent will do in Login in the state login/
  ],
  [
    "waits less for a login than its state has",
    Pass.Pass,
    { ...pass, server: Pass.server({ waits: "4 seconds" }) },
    /law 6.*\(server, pure\)[^]*comes after 4999 ms[^]*it has 5000 ms for that[^]*TimeoutError/
  ],
  [
    "lets one in after the other",
    Pass.Pass,
    { ...pass, server: Semaphore.makeUnsafe(1).withPermit(Pass.server()) },
    /law 10.*\(server, pure\)[^]*comes only after 2000 ms[^]*it became ready after 2000 ms/
  ],
  [
    "has an empty password for whom it does not know",
    Pass.Pass,
    {
      ...pass,
      server: Pass.server({ isRight: (user, password) => (user === "ann" ? "Hunter22" : "") === password })
    },
    /law 5.*\(server, pure\)[^]*password is the least of its type[^]*another user and password/
  ],
  [
    "cuts a name at an at sign",
    Pass.Pass,
    {
      ...pass,
      server: Pass.server({ isRight: (user, password) => user.split("@")[0] === "ann" && password === "Hunter22" })
    },
    /law 5.*\(server, pure\)[^]*its field user is "?ann@x/
  ],
  [
    "compares a byte of each character",
    Pass.Pass,
    {
      ...pass,
      server: Pass.server({
        isRight: (user, password) => user === "ann" && Buffer.from(password, "latin1").toString("latin1") === "Hunter22"
      })
    },
    /law 5.*\(server, pure\)[^]*with a first character of the same low byte/
  ],
  [
    "takes any space between the parts of a login",
    Post.Post,
    { ...post, server: Post.server({ isRight: (given) => given.replaceAll(" ", "\0") === "\0Ann\0Hunter22" }) },
    /law 5.*\(server, pure\)[^]*with spaces between its parts/
  ],
  [
    "says its password where none belongs",
    Post.Post,
    { ...post, client: Post.client(Effect.void, "Hunter22") },
    /law 9.*\(client, pure\)[^]*agent in Login in the state login is no `Schema.Redacted`[^]*a secret as its agent/
  ],
  [
    "leaves a timer where a login is wrong",
    Gate.Gate,
    {
      ...gate,
      server: Gate.server({
        heard: ({ password }) =>
          password === "Hunter22" ? Effect.void : Effect.sync(() => {
            setTimeout(() => {}, 3000)
          })
      })
    },
    /law 7.*\(server, pure\)[^]*Login in the state login comes with another password, 4 times[^]*more of Timeout/
  ],
  [
    "says no when its client waits no longer",
    Pass.Pass,
    { ...pass, server: Pass.server({ thinks: 5100 }) },
    /law 6.*[^]*it says no while its peer waits, which is 5000 ms in the state verdict[^]*after 5100 ms/
  ],
  [
    "takes any ticket, which its client has none of",
    Pass.Pass,
    { ...pass, server: Pass.server({ takes: () => true }) },
    /law 5.*[^]*not ready with another number in Ticket in the state login/
  ],
  ["says the same otherwise whatever the state is", Post.Post, {
    ...post,
    server: Post.server({}, Post.specified(() => "No") as never)
  }, /hears "GONE.*", as said otherwise, in the state box\n.*heard "NO/],
  ["says nothing of it that it has no room", Post.Post, {
    ...post,
    server: Post.server(
      {},
      Post.specified((why, state) => state === "login" && why !== "capacity" ? "No" : "Gone") as never
    )
  }, /law 11.*[^]*the client hears No, as said otherwise, in the state login/]
]

it("what a client shows in its log is told of the client, and not of its server", async () => {
  const sides = { ...post, client: Post.client(Effect.logDebug("Hunter22")) }
  const { laws } = Laws.dialogue(Post.Post, { ...sides, rungs: [Rung.pure], runs: 1, seed: 7 })
  const violation = await Effect.runPromise(Effect.flip(laws[8].check))
  expect(violation.message).toMatch(/law 9.*\(client, pure\)[^]*a log/)
})

describe("a side is caught that", () => {
  for (const [name, dialogue, sides, says] of broken) {
    Law.it(name, async () => {
      known = guest = undefined
      const result = await Effect.runPromise(Effect.result(check(dialogue, sides)))
      expect(Result.isFailure(result), "it was not caught").toBe(true)
      if (Result.isFailure(result)) expect(result.failure.message).toMatch(says)
    })
  }
})

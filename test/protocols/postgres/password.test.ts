import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { assert, describe, it } from "@effect/vitest"
import type * as Digest from "effect/crypto/Digest"
import type * as Kdf from "effect/crypto/Kdf"
import type * as Mac from "effect/crypto/Mac"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import * as Password from "../../../src/protocols/postgres/password.ts"

const test = <A, E>(name: string, effect: Effect.Effect<A, E, Digest.Digest | Kdf.Kdf | Mac.Mac>) =>
  it.effect(name, () => Effect.provide(effect, NodeCrypto.layer))

const secret = (text: string) => Redacted.make(text)
const parse = (text: string) => Password.parse(secret(text))
const stored = (text: string) => Result.getOrThrow(parse(text))

// What PostgreSQL 15 and 18 have in pg_authid for passwords of the role `alice`: SCRAM of both, and MD5.
const interop: ReadonlyArray<readonly [what: string, user: string, password: string, ...texts: ReadonlyArray<string>]> =
  [
    [
      "in ASCII",
      "alice",
      "sesame",
      "SCRAM-SHA-256$4096:ykvZ7XyKCaPygfG/qsRs0A==$ooQmP2JVug/jHn0bvSRZdgYv4/VS24TTW261vA4XzAQ=:F2CO74/o64w812kDqbKgGx5Zh0XR/w/5vS2Nzq2OoA0=",
      "SCRAM-SHA-256$10000:dJkBY3au+GK8C/IV8CzdXg==$dTlOHzl36aRECoEQPn+3sKjpmzQW3EyX/6hWgkz1Kcw=:uiYPNdFex+leixDS1jsnZHODp6RmE4JrueC/cHLt1qc=",
      "md51a1403cdf37da2c74e920c31477e3b20"
    ],
    [
      "that SASLprep normalizes",
      "alice",
      "Pa\u00adss\u00a0\u2168e\u0301",
      "SCRAM-SHA-256$4096:Fd8+OHdqqq41YJXiMABpNw==$7Gna5cpDe0A3uzTd+I/FZs+nAoCrklfiieMiYWtGfe0=:ncslY/nRzh9i3lRUrrVTldNJmiDB7R5gyt+nXV5heIQ=",
      "SCRAM-SHA-256$10000:6TVvUiRm9PPxrG1GZzyTPw==$NyeBOWRFqAbIPdWCt1BfyYEhOl863udjugxrQftLhsY=:SYpPST34lkVsE0BhdryOL9nYgEeM1FhuNF0X97HamRw=",
      "md58047f4560755ec5fd8ec3ba50c64d728"
    ],
    [
      "that it prohibits, as it is",
      "alice",
      "\u00e9\u0007",
      "SCRAM-SHA-256$4096:BqFAcOFACA1BGUGnxlNXFA==$5lLCobQ5Kh03EA0ekp5gzJtZzZy/w+9AkKrJ4CdogRM=:ZiVRvc+w4VR5W3pIVaQZp4QirhifZusxvDs0xFWBIkQ=",
      "SCRAM-SHA-256$10000:WUZ2NhOrq8/RIS7aymtfjw==$SkoVyzmHdajtSZyDVHoeJjVZmuBOH/wWbz2E/XvUbbU=:Jspx5nUkM3OFIZXZqlHZAF65Iyp4vimBzRuqC5gvvvw=",
      "md559aa127386c19afd557818aa047d4208"
    ],
    [
      "that Unicode 3.2 did not know, as it is",
      "alice",
      "\u{1f130}\u00e9",
      "SCRAM-SHA-256$4096:mvlyfeop8nBYxEqPLHDZKQ==$r1ipsq7fzefhMpNuCtIlcmpMxiliJ18z85rAUg/20EM=:X5joY2wZHyYPYUaW9CR74MqBgQ0BcFGrpFrhUsGssBg=",
      "SCRAM-SHA-256$10000:htwG1fIyvgS0JFsHgiqwsQ==$9QvM9minDuoNgnoU8lsD3TJV9Av15EKHnx3diUsh5r4=:2DavjiIkpvTMlPk9RcadTtpTAjeHyj2AikMMcATQDDk=",
      "md58adcdab1b223de231a28bc9aeb9feeb8"
    ],
    [
      "that mixes the directions of writing, as it is",
      "alice",
      "\u06271",
      "SCRAM-SHA-256$4096:s1vuyfpuFXIwFK+urHBPBw==$L89XhUIb4mEVceQxuRYFhcKEvjxNQRW8bi9BelV3XnI=:8jnz+ZBM/2OK4EvOIEo6ZDQO+VoFXfgN3W0WO1aZ0qk=",
      "SCRAM-SHA-256$10000:A3NZWWTR1TY88E7/Cg70zQ==$p0UpwaETFKto6Po/IMZTHgghVl8/FmranHuis5VQNVg=:KweQ2uBNNjcKRvhFDo7e0NzJKVKOek13bZ92uRXEIew=",
      "md520cbe05fa11c0ed7c09ad7bd040be3d6"
    ],
    [
      "with a character that is normalized away, as it is",
      "alice",
      "e\u0340",
      "SCRAM-SHA-256$4096:iI2ksLonoBTHCjXGpQL+rQ==$v0BYBNAFIV0oiG5A0nQSm9eyG5t24BzTUmHqbz37Y2U=:/6tb0DVkfpH6CEivKDqFeKV8THbzPajuoyil+VkUSGo=",
      "SCRAM-SHA-256$10000:KboHPOQQYTiA5Rd/BP3DrQ==$ypOvseTmgvZg3HfUJg8ybSnTGgy2CoVEdFhn24cdvb4=:6/oWQeHmNK9yrDWFnT1XYxp59GVGSyFZzBZC2sCTkFc=",
      "md576dfab80f424f3d5d9f7af2ab3894e2b"
    ],
    [
      "of symbols that come from the right when normalized",
      "alice",
      "a\u2135",
      "SCRAM-SHA-256$4096:vHFCg2TajFk9bGqGKbTT6Q==$07TLUe0tXiFCvxdRhXphSeHqlaZPcg3EwCH1vllDy1E=:WMDuoQPYc5XGPus73ym5FKcgNm5wYam0f3cpCj49UVQ=",
      "SCRAM-SHA-256$10000:IQomb/7RpqLT8nJHo33y1w==$GRUkxObULmWp0oK+mCP2vV0rwMGIlvssRMd8JZ61Xps=:rPGD06gmT7agsODbzTKKK45WsA21dpqaR7l88hyx2IQ=",
      "md5cadd295d127ba4309b565ce3cdef6b06"
    ]
  ]

const key = `${"A".repeat(43)}=`
const otherKey = `${"/".repeat(42)}8=`

describe("parse", () => {
  it("reads what it writes", () => {
    for (const [, , , ...texts] of interop) {
      for (const text of texts) assert.strictEqual(Redacted.value(Password.format(stored(text))), text)
    }
  })

  it("reads the parts of a verifier", () => {
    const password = stored(`SCRAM-SHA-256$4096:AAECAwQFBgc=$${key}:${otherKey}`)
    assert.strictEqual(password._tag, "Scram")
    if (password._tag !== "Scram") return
    assert.strictEqual(password.verifier.iterations, 4096)
    assert.deepStrictEqual(password.verifier.salt, Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7))
    assert.deepStrictEqual(Redacted.value(password.verifier.storedKey), new Uint8Array(32))
    assert.deepStrictEqual(Redacted.value(password.verifier.serverKey), new Uint8Array(32).fill(255))
  })

  for (
    const [what, text] of [
      ["nothing", ""],
      ["a password in clear", "hunter2"],
      ["MD5 with 31 digits", `md5${"0".repeat(31)}`],
      ["MD5 with 33 digits", `md5${"0".repeat(33)}`],
      ["MD5 in capitals", `md5${"A".repeat(32)}`],
      ["another mechanism", `SCRAM-SHA-1$4096:AAECAwQFBgc=$${key}:${otherKey}`],
      ["no iterations", `SCRAM-SHA-256$0:AAECAwQFBgc=$${key}:${otherKey}`],
      ["too many iterations", `SCRAM-SHA-256$2147483648:AAECAwQFBgc=$${key}:${otherKey}`],
      ["iterations with a blank", `SCRAM-SHA-256$4096 :AAECAwQFBgc=$${key}:${otherKey}`],
      ["no salt", `SCRAM-SHA-256$4096:$${key}:${otherKey}`],
      ["a salt that is no base64", `SCRAM-SHA-256$4096:AAECAwQFBgd=$${key}:${otherKey}`],
      ["a key that is short", `SCRAM-SHA-256$4096:AAECAwQFBgc=$${key.slice(4)}:${otherKey}`],
      ["a key of 33 bytes", `SCRAM-SHA-256$4096:AAECAwQFBgc=$${key.replace("=", "A")}:${otherKey}`],
      ["a key that is no base64", `SCRAM-SHA-256$4096:AAECAwQFBgc=$${key.replace("A=", "B=")}:${otherKey}`],
      ["one key", `SCRAM-SHA-256$4096:AAECAwQFBgc=$${key}`],
      ["a line end behind it", `SCRAM-SHA-256$4096:AAECAwQFBgc=$${key}:${otherKey}\n`]
    ] as const
  ) {
    it(`refuses ${what}, and does not show it`, () => {
      const failure = Result.getOrThrow(Result.flip(parse(text)))
      assert.strictEqual(failure.message, "neither a SCRAM-SHA-256 verifier nor an MD5 hash: <redacted>")
      assert.strictEqual(failure.fault, "local")
    })
  }

  it("takes one iteration, and as many as there can be", () => {
    assert.isTrue(Result.isSuccess(parse(`SCRAM-SHA-256$1:AAECAwQFBgc=$${key}:${otherKey}`)))
    assert.isTrue(Result.isSuccess(parse(`SCRAM-SHA-256$2147483647:AAECAwQFBgc=$${key}:${otherKey}`)))
  })

  it.prop("any text has an answer", [Schema.String], ([text]) => {
    parse(text)
  })

  it("law 9: shows nothing of what it has read", () => {
    const passwords = [
      stored(`SCRAM-SHA-256$4096:AAECAwQFBgc=$${key}:${otherKey}`),
      stored(`md5${"0123456789abcdef".repeat(2)}`)
    ]
    const shown = inspect(passwords, { depth: null, showHidden: true }) + JSON.stringify(passwords)
    assert.notInclude(shown, "0123456789abcdef")
    assert.notInclude(shown, "255, 255")
  })
})

describe("verifiers of PostgreSQL", () => {
  for (const [what, user, password, ...texts] of interop) {
    test(
      `know a password ${what}`,
      Effect.gen(function*() {
        for (const text of texts) {
          assert.isTrue(yield* Password.verify(stored(text), user, secret(password)), text)
          assert.isFalse(yield* Password.verify(stored(text), user, secret(`${password}x`)), text)
        }
      })
    )
  }

  test(
    "do not know an empty password",
    Effect.gen(function*() {
      const empty = yield* Password.md5("alice", secret(""))
      assert.isFalse(yield* Password.verify(empty, "alice", secret("")))
      assert.isFalse(yield* Password.verify(stored(interop[0][3]), "alice", secret("")))
    })
  )
})

describe("MD5", () => {
  const salt = Uint8Array.of(1, 2, 3, 255)

  test(
    "what a client answers is what a server expects",
    Effect.gen(function*() {
      const answer = yield* Password.md5Answer("alice", secret("sesame"), salt)
      assert.strictEqual(Redacted.value(answer), "md5e89fa966eefdff0fbe2bfa2c7f909c42")
      const password = yield* Password.md5("alice", secret("sesame"))
      assert.isTrue(yield* Password.md5Verify(password, salt, answer))
      assert.isFalse(yield* Password.md5Verify(password, Uint8Array.of(1, 2, 3, 254), answer))
      assert.isFalse(yield* Password.md5Verify(yield* Password.md5("bob", secret("sesame")), salt, answer))
      assert.isFalse(yield* Password.md5Verify(password, salt, secret("")))
      assert.isFalse(yield* Password.md5Verify(password, salt, secret(Redacted.value(answer).slice(3))))
      assert.isFalse(yield* Password.md5Verify(password, salt, secret(`${Redacted.value(answer)}0`)))
    })
  )

  test(
    "of a user that is not there is the same each time, and nobody's password",
    Effect.gen(function*() {
      const key = Redacted.make(new Uint8Array(32).fill(7))
      const mock = yield* Password.md5Mock("nobody", key)
      assert.match(Redacted.value(mock.hash), /^[0-9a-f]{32}$/)
      assert.strictEqual(Redacted.value((yield* Password.md5Mock("nobody", key)).hash), Redacted.value(mock.hash))
      assert.notStrictEqual(Redacted.value((yield* Password.md5Mock("somebody", key)).hash), Redacted.value(mock.hash))
      const answer = yield* Password.md5Answer("nobody", secret("sesame"), salt)
      assert.isFalse(yield* Password.md5Verify(mock, salt, answer))
      assert.strictEqual(
        (yield* Effect.flip(Password.md5Mock("nobody", Redacted.make(new Uint8Array(15))))).fault,
        "local"
      )
    })
  )
})

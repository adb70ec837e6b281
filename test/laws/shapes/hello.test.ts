/**
 * The laws of a healthy protocol of its own shape: a simultaneous hello.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { options } from "./hello.ts"

Laws.handshake({ ...options, it: Law.it })

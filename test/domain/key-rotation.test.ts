import { expect } from 'chai';
import fc from 'fast-check';
import { KEY_ROTATION_WITHIN_MS } from '#src/domain/key-rotation.js';
import type { ActorName } from '#src/domain/step.js';
import { childSpecs } from '#src/supervision/child-spec.js';
import { runs } from '../runs.js';
import { configOf, World } from './supervisor-world.js';

const SIGNERS: readonly ActorName[] = ['reconciliation', 'execution'];
const REQUEST = 77;

const liveWorld = (): World =>
  new World(configOf({ mode: 'live', modeReasons: [], children: childSpecs({ mode: 'live' }) })).run();
const begin = (world: World): void =>
  world.feed({ type: 'command', request: REQUEST, command: { type: 'rotate-key' } });
const verified = (world: World, actor: ActorName, incarnation = 1): void =>
  world.feed({ type: 'key-verified', actor, incarnation });
const refused = (world: World, actor: ActorName): void =>
  world.feed({ type: 'key-refused', actor, incarnation: 1, reason: 'the venue says no' });

const KEY_EFFECTS = ['read-key', 'offer-key', 'adopt-key', 'drop-key'];
const deeds = (world: World): readonly string[] =>
  world.effects.map(effect => effect.type).filter(type => KEY_EFFECTS.includes(type));
/** Audited about the key; the start has a record of its own. */
const audited = (world: World): readonly string[] =>
  world.effects.flatMap(effect =>
    effect.type === 'record' && effect.record.type === 'audit' && effect.record.event.startsWith('key-')
      ? [effect.record.event]
      : [],
  );

describe('the rotation of the key', () => {
  it('reads, offers, and adopts once every signer has proven the new key, with the audit and the answer', () => {
    const world = liveWorld();
    begin(world);
    expect(deeds(world)).to.deep.equal(['read-key']);
    world.feed({ type: 'key-read' });
    verified(world, 'execution');
    expect(deeds(world)).to.deep.equal(['read-key', 'offer-key']);
    expect(world.answers.get(REQUEST)).to.equal(undefined);
    verified(world, 'reconciliation');
    expect(deeds(world)).to.deep.equal(['read-key', 'offer-key', 'adopt-key']);
    expect(world.answers.get(REQUEST)).to.include({ ok: true });
    expect(audited(world)).to.deep.equal(['key-rotated']);
    expect(world.control?.maySubmit).to.equal(true);
  });

  const ends: readonly (readonly [title: string, act: (world: World) => void, words: string])[] = [
    ['no key can be read', world => world.feed({ type: 'key-unreadable', reason: 'no file' }), 'no file'],
    [
      'one signer is refused',
      world => {
        world.feed({ type: 'key-read' });
        verified(world, 'execution');
        refused(world, 'reconciliation');
      },
      'the venue says no',
    ],
    [
      'a signer ends meanwhile',
      world => {
        world.feed({ type: 'key-read' });
        verified(world, 'execution');
        world.crash('execution');
      },
      'execution ended',
    ],
    [
      'the venue does not answer',
      world => {
        world.feed({ type: 'key-read' });
        verified(world, 'execution');
        world.pass(KEY_ROTATION_WITHIN_MS + 100);
      },
      'did not answer reconciliation within 20 s',
    ],
  ];
  for (const [title, act, words] of ends)
    it(`leaves the old key in use when ${title}`, () => {
      const world = liveWorld();
      begin(world);
      act(world);
      expect(deeds(world)).to.not.include('adopt-key');
      expect(deeds(world).at(-1)).to.equal('drop-key');
      expect(world.answers.get(REQUEST)?.ok).to.equal(false);
      expect(world.answers.get(REQUEST)?.message).to.contain('the old key stays in use').and.contain(words);
      expect(audited(world)).to.deep.equal(['key-rotation-refused']);
      // And the way is free for the next attempt.
      world.pass(1_000);
      begin(world);
      expect(deeds(world).filter(type => type === 'read-key')).to.have.length(2);
    });

  it('is refused where there is no key to rotate, before all is up, and while another is under way', () => {
    expect(new World().run().ask({ type: 'rotate-key' }).message).to.contain('embedded exchange');
    const starting = new World(
      configOf({ mode: 'live', modeReasons: [], children: childSpecs({ mode: 'live' }) }),
    );
    expect(starting.ask({ type: 'rotate-key' }).message).to.contain('must be up: reconciliation, execution');
    const world = liveWorld();
    begin(world);
    expect(world.ask({ type: 'rotate-key' }).message).to.contain('under way');
  });

  it('does not count the word of an earlier incarnation', () => {
    const world = liveWorld();
    begin(world);
    world.feed({ type: 'key-read' });
    verified(world, 'execution', 0);
    verified(world, 'reconciliation', 0);
    expect(deeds(world)).to.not.include('adopt-key');
  });

  it('adopts only what every signer has proven, and answers each request once, whatever happens', () => {
    type Happening = 'begin' | 'read' | 'unreadable' | 'pass' | `${'yes' | 'no' | 'crash'} ${string}`;
    const happening = fc.oneof(
      fc.constantFrom<Happening>('begin', 'read', 'unreadable', 'pass'),
      fc.constantFrom(
        ...SIGNERS.flatMap((actor): Happening[] => [`yes ${actor}`, `no ${actor}`, `crash ${actor}`]),
      ),
    );
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 30 }), happenings => {
        const world = liveWorld();
        let proven = new Set<ActorName>();
        for (const each of happenings) {
          const [word, name] = each.split(' ');
          const actor = name as ActorName;
          const adoptedBefore = deeds(world).filter(type => type === 'adopt-key').length;
          const offered = deeds(world).at(-1) === 'offer-key';
          const incarnation = world.threads.get(actor)?.incarnation ?? 0;
          if (word === 'begin') {
            if (world.state.keyRotation === null) proven = new Set();
            begin(world);
          } else if (word === 'read') world.feed({ type: 'key-read' });
          else if (word === 'unreadable') world.feed({ type: 'key-unreadable', reason: 'r' });
          else if (word === 'pass') world.pass(500);
          else if (word === 'crash') world.crash(actor);
          else if (word === 'no') world.feed({ type: 'key-refused', actor, incarnation, reason: 'r' });
          else {
            if (offered && world.threads.has(actor)) proven.add(actor);
            world.feed({ type: 'key-verified', actor, incarnation });
          }
          if (deeds(world).filter(type => type === 'adopt-key').length > adoptedBefore)
            expect([...proven].sort()).to.deep.equal([...SIGNERS].sort());
        }
        const begun = deeds(world).filter(type => type === 'read-key').length;
        const ended = audited(world).length + (world.state.keyRotation === null ? 0 : 1);
        expect(ended).to.equal(begun);
      }),
      { numRuns: Math.min(200, runs(200)) },
    );
  });
});

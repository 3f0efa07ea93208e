import sys
from pathlib import Path
from r2mini.commands import kept
from r2mini.training import *
w=Path(sys.argv[1]); ex=Path('examples/r2-mini')
r1=kept(w/'r1-trained.json', lambda: {'spent':[s.to_json() for s in trained(ex/'r1.yaml', w/'r1', None, ())]})
for seed in (0,1,2):
    f=w/f'seed-{seed}'
    kept(f/'trained.json', lambda: {'killed_at': kill_at(seed), 'spent':[s.to_json() for s in carried_out(ex/'r2.yaml', f/'r2', seed, ())]})

# The nets that ship for real video, from data to weights:
#
#   make -f recipes/footfall.mk DATA=DIR VIDEOS=DIR DETECTORS=DIR
#
# Sequences lie right below DATA, VIDEOS holds crossing-360p, path-480p, promenade-360p, street-above-1080p
# and underpass-288p (any suffix; for films of your own change these names here and in the recipes), and
# DETECTORS the files of TEACHERS: docs/results.md says what each is. First: pip install torchvision '.[export]'.
# Started again after a break, it goes on where it stopped. `unseen` instead scores the nets that know
# none of the places that are scored.

RUN ?= .venv/bin/python
OUT ?= runs
LABELLED := $(OUT)/labelled
RESNET18 ?= imagenet
MOBILENETV2 ?= imagenet

TEACHERS = $(addprefix $(DETECTORS)/,person-detection-retail-0013.xml person-detection-0201.xml nanodet-plus-m_416.xml)
KNOWN := MOT17-02 MOT17-09 TUD-Stadtmitte
PLACES := $(KNOWN) PETS09-S2L1 PETS09-S3-MF1 KITTI-17
OTHERS := PRW-C6S1 promenade-360p street-above-1080p path-480p KITTI-T0015
ALL := MOT17-02 MOT17-09 PETS09-S2L1 TUD-Stadtmitte KITTI-17 $(OTHERS)

LABEL = $(RUN) -m nets.pseudo_labels --teachers $(TEACHERS) --data $(DATA) --out $(LABELLED)
# $(call TRAIN,RECIPE,WEIGHTS): on from its checkpoint; a run that was killed before its first begins anew.
# Weights are written now and then: those of a whole training have .done beside them.
define TRAIN
$(if $(wildcard $(OUT)/$(1)/checkpoint.pt),,rm -rf $(OUT)/$(1))
$(RUN) train.py --config recipes/$(1).yaml --data $(LABELLED) --weights $(2) --out $(OUT)/$(1) \
  $(if $(wildcard $(OUT)/$(1)/checkpoint.pt),--resume)
touch $@
endef
TRAINED = $(<D)/weights.safetensors
CALIBRATE = $(RUN) -m nets.calibrate --weights $(TRAINED) --out $@ --half --data $(LABELLED)
EVALUATE = $(RUN) eval.py --data $(DATA) --weights $< --embedder none --detect-fps 0 --seq $(PLACES) \
    $(if $(wildcard $(1)/manifest.json),--resume) --out $(1)

.PHONY: ship unseen
.DELETE_ON_ERROR:
.SECONDARY:

ship: $(OUT)/footfall-m-int8.xml $(OUT)/footfall-s-int8.xml
unseen: $(OUT)/unseen-m/scores.json $(OUT)/unseen-s/scores.json

# Every few tenths of a second where people walk fast or the film is short; labels that are there stay.
$(LABELLED)/.done:
	@test -n "$(DATA)" -a -n "$(VIDEOS)" -a -n "$(DETECTORS)" || { echo 'say DATA=, VIDEOS= and DETECTORS=' >&2; exit 2; }
	$(LABEL) --every-s 0.3 --inputs $(wildcard $(VIDEOS)/underpass-288p.* $(VIDEOS)/street*)
	$(LABEL) --every-s 0.4 --inputs $(wildcard $(VIDEOS)/crossing* $(VIDEOS)/path* $(VIDEOS)/promenade*) stills/penn-fudan stills/openimages
	$(LABEL) --every-s 3 --inputs PRW-C6S1
	$(LABEL) --every-s 0.5 --inputs KITTI-T0002 KITTI-T0012 KITTI-T0014 KITTI-T0015 KITTI-17
	$(LABEL) --every-s 1 --inputs PETS09-S2L1 PETS09-S3-MF1
	ln -sfn $(addprefix $(abspath $(DATA))/,$(KNOWN)) $(LABELLED)/
	touch $@

$(OUT)/footfall-m-base/.done: $(LABELLED)/.done
	$(call TRAIN,footfall-m-base,$(RESNET18))
$(OUT)/footfall-m/.done: $(OUT)/footfall-m-base/.done
	$(call TRAIN,footfall-m,$(TRAINED))
$(OUT)/footfall-s-base/.done: $(LABELLED)/.done
	$(call TRAIN,footfall-s-base,$(MOBILENETV2))
$(OUT)/footfall-s/.done: $(OUT)/footfall-s-base/.done
	$(call TRAIN,footfall-s,$(TRAINED))

# Scores become probabilities, on places that the net was trained on; for scores, on none that is scored.
$(OUT)/base-m.safetensors: $(OUT)/footfall-m-base/.done
	$(CALIBRATE) --windows 40 --seqs $(OTHERS)
$(OUT)/base-s.safetensors: $(OUT)/footfall-s-base/.done
	$(CALIBRATE) --windows 40 --seqs $(OTHERS)
$(OUT)/footfall-m.safetensors: $(OUT)/footfall-m/.done
	$(CALIBRATE) --windows 20 --seqs $(ALL) --bytes-for-largest
$(OUT)/footfall-s.safetensors: $(OUT)/footfall-s/.done
	$(CALIBRATE) --windows 20 --seqs $(ALL)

# What an x86 CPU computes (pip install nncf); ranges of activations are measured on the same places.
%-int8.xml: %.safetensors
	$(RUN) -m nets.export --weights $< --to openvino --precision int8 --out $@ --data $(LABELLED) --calibrate $(OTHERS) --frames $(OTHERS)

$(OUT)/unseen-%/scores.json: $(OUT)/base-%-int8.xml
	$(call EVALUATE,$(@D))
